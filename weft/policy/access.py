"""Decides who may use a network: pods through a NAD, and NADs that declare it again.

The namespace of the NAD that declared a network first owns it. That NAD says which other namespaces
may use the network. If it says nothing, only its own namespace may; a NAD in a global namespace (an
administrator's) then admits everybody, as in Multus' namespace isolation. The cluster manager and
the agents apply the same rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from weft import errors, model

# Namespaces that are always global.
GLOBAL = frozenset({"default"})
_NAME_LABEL = "kubernetes.io/metadata.name"
_NAD = "NetworkAttachmentDefinition"

Labels = Callable[[str], Mapping[str, str] | None]


def home(nad: str) -> str:
    """The namespace of a NAD's key."""
    return nad.partition("/")[0]


def _nobody(namespace: str) -> Mapping[str, str] | None:
    return None


@dataclass(frozen=True, slots=True)
class Rule:
    """`labels` returns a namespace's labels, None if unknown: then no selector matches.

    The default network, and a network whose owner is unknown, admit everybody.
    """

    global_namespaces: frozenset[str] = GLOBAL
    labels: Labels = field(default=_nobody, compare=False)

    def admits(self, network: model.Network, namespace: str) -> bool:
        """Whether the network's owner lets a namespace in."""
        own, access = home(network.owner), network.spec.access
        if not network.owner or namespace == own:
            return True
        if not access.is_said:
            return own in self.global_namespaces
        return namespace in (access.namespaces or ()) or self._selects(access, namespace)

    def _selects(self, access: model.Access, namespace: str) -> bool:
        labels = self.labels(namespace)
        if access.selector is None or labels is None:
            return False
        return access.selector.matches({**labels, _NAME_LABEL: namespace})

    def may_join(self, network: model.Network, nad: str) -> bool:
        """Whether a NAD may declare the network again.

        A NAD in a global namespace always may: only administrators write there. It then serves its
        own namespace only, unless the owner admits others. Pods of a namespace may use a network if
        its owner admits the namespace, or if a NAD of the namespace has joined the network.
        """
        return home(nad) in self.global_namespaces or self.admits(network, home(nad))

    def refused(self, network: model.Network, nad: str, pod: str) -> errors.NotReady:
        """Why a pod "<namespace>/<name>" may not use the network."""
        named, own = errors.as_written(network.name), home(pod)
        return errors.NotReady(
            f"may not use network {named} through {_NAD} {nad}: {_whose(network, own)}",
            where=f"Pod {pod}",
            hint=f"{_remedy(network, own)}; the pod then continues",
        )

    def refusal(self, network: model.Network, nad: str) -> str:
        """Why a NAD may not declare the network again, and who may change that."""
        own = home(nad)
        return (
            f"{_NAD} {nad}: may not declare network {errors.as_written(network.name)}: "
            f"{_whose(network, own)} ({_remedy(network, own)}, or choose another network name)"
        )

    def guest(self, network: model.Network, nad: str) -> str:
        """The notice for a NAD that has joined another namespace's network; "" for other NADs.

        Another namespace may have taken the name on purpose, so whoever joins learns who owns it.
        """
        own = home(nad)
        if not network.owner or own == home(network.owner):
            return ""
        said = f"{_NAD} {nad}: joins network {errors.as_written(network.name)}, "
        said += f"which belongs to namespace {home(network.owner)} ({_NAD} {network.owner})"
        if self.admits(network, own):
            return said
        return (
            f"{said}; the owner does not admit it, so it serves only pods of namespace {own} "
            "(choose another network name for a network of your own)"
        )


def _whose(network: model.Network, namespace: str) -> str:
    own = home(network.owner)
    return (
        f"it belongs to namespace {own} ({_NAD} {network.owner}), which does not "
        f"admit namespace {namespace}"
    )


def _remedy(network: model.Network, namespace: str) -> str:
    return (
        f"a user with write access in namespace {home(network.owner)} can add "
        f"{errors.as_written(namespace)} to allowedNamespaces in spec.config of "
        f"{_NAD} {network.owner}"
    )
