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
from weft.model import ObjectKey

# Namespaces that are always global.
GLOBAL_NAMESPACES = frozenset({"default"})
_NAME_LABEL = "kubernetes.io/metadata.name"
_NAD = "NetworkAttachmentDefinition"

NamespaceLabels = Callable[[str], Mapping[str, str] | None]


def _nobody(namespace: str) -> Mapping[str, str] | None:
    return None


@dataclass(frozen=True, slots=True)
class AccessRule:
    """`labels` returns a namespace's labels, None if unknown: then no selector matches.

    The default network, and a network whose owner is unknown, admit everybody.
    """

    global_namespaces: frozenset[str] = GLOBAL_NAMESPACES
    labels: NamespaceLabels = field(default=_nobody, compare=False)

    def admits(self, network: model.Network, namespace: str) -> bool:
        """Whether the network's owner lets a namespace in."""
        if network.owner is None or namespace == network.owner.namespace:
            return True
        access = network.spec.access
        if not access.is_set:
            return network.owner.namespace in self.global_namespaces
        return namespace in (access.namespaces or ()) or self._selects(access, namespace)

    def _selects(self, access: model.Access, namespace: str) -> bool:
        labels = self.labels(namespace)
        if access.selector is None or labels is None:
            return False
        return access.selector.matches({**labels, _NAME_LABEL: namespace})

    def may_join(self, network: model.Network, nad: ObjectKey) -> bool:
        """Whether a NAD may declare the network again.

        A NAD in a global namespace always may: only administrators write there. It then serves its
        own namespace only, unless the owner admits others. Pods of a namespace may use a network if
        its owner admits the namespace, or if a NAD of the namespace has joined the network.
        """
        return nad.namespace in self.global_namespaces or self.admits(network, nad.namespace)

    def pod_refusal(
        self, network: model.Network, nad: ObjectKey, pod: ObjectKey
    ) -> errors.NotReady:
        """Why a pod may not use the network."""
        named, own = errors.as_written(network.name), pod.namespace
        return errors.NotReady(
            f"may not use network {named} through {_NAD} {nad}: {_reason(network, own)}",
            where=f"Pod {pod}",
            hint=f"{_remedy(network, own)}; the pod then continues",
        )

    def nad_refusal(self, network: model.Network, nad: ObjectKey) -> str:
        """Why a NAD may not declare the network again, and who may change that."""
        own = nad.namespace
        return (
            f"{_NAD} {nad}: may not declare network {errors.as_written(network.name)}: "
            f"{_reason(network, own)} ({_remedy(network, own)}, or choose another network name)"
        )

    def joined_notice(self, network: model.Network, nad: ObjectKey) -> str:
        """The notice for a NAD that has joined another namespace's network; "" for other NADs.

        Another namespace may have taken the name on purpose, so the notice says who owns it.
        """
        own = nad.namespace
        if network.owner is None or own == network.owner.namespace:
            return ""
        message = f"{_NAD} {nad}: joins network {errors.as_written(network.name)}, "
        message += f"which belongs to namespace {network.owner.namespace} ({_NAD} {network.owner})"
        if self.admits(network, own):
            return message
        return (
            f"{message}; the owner does not admit it, so it serves only pods of namespace {own} "
            "(choose another network name for a network of your own)"
        )


def _reason(network: model.Network, namespace: str) -> str:
    assert network.owner is not None, "it admits everybody"
    return (
        f"it belongs to namespace {network.owner.namespace} ({_NAD} {network.owner}), which does "
        f"not admit namespace {namespace}"
    )


def _remedy(network: model.Network, namespace: str) -> str:
    assert network.owner is not None, "it admits everybody"
    return (
        f"a user with write access in namespace {network.owner.namespace} can add "
        f"{errors.as_written(namespace)} to allowedNamespaces in spec.config of "
        f"{_NAD} {network.owner}"
    )
