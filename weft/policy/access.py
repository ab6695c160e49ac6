"""Decides who may use a network: pods through a NAD, and NADs that declare it again.

A network belongs to the namespace of the definition that declared it first. That definition says
which other namespaces may use it; one that says nothing of it admits its own namespace alone, or
everybody if an administrator's: definitions of global namespaces are for all, as Multus' namespace
isolation has it. Cluster manager and agents ask the same rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from weft import errors, model

# Global whatever else is.
GLOBAL = frozenset({"default"})
_NAME_LABEL = "kubernetes.io/metadata.name"
_NAD = "NetworkAttachmentDefinition"

Labels = Callable[[str], Mapping[str, str] | None]


def home(definition: str) -> str:
    """The namespace of a definition's key."""
    return definition.partition("/")[0]


def _nobody(namespace: str) -> Mapping[str, str] | None:
    return None


@dataclass(frozen=True, slots=True)
class Rule:
    """`labels` gives a namespace's labels, None while it is not known: then no selector matches.

    The cluster's own network, and one whose owner is not known, is for everybody.
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

    def may_join(self, network: model.Network, definition: str) -> bool:
        """Whether a definition may declare the network again.

        One of a global namespace may always: nobody but administrators writes there. It then
        serves its own namespace alone, unless the owner lets others in. Pods of a namespace may use
        a network if its owner admits them, or if a definition of theirs has joined it.
        """
        return home(definition) in self.global_namespaces or self.admits(network, home(definition))

    def refused(self, network: model.Network, definition: str, pod: str) -> errors.NotReady:
        """Why a pod, named by "<namespace>/<name>", may not use the network."""
        named, own = errors.as_written(network.name), home(pod)
        return errors.NotReady(
            f"may not use network {named} through {_NAD} {definition}: {_whose(network, own)}",
            where=f"Pod {pod}",
            hint=f"{_remedy(network, own)}; the pod goes on then",
        )

    def refusal(self, network: model.Network, definition: str) -> str:
        """Why a definition may not declare the network again, and who may change that."""
        own = home(definition)
        return (
            f"{_NAD} {definition}: may not declare network {errors.as_written(network.name)}: "
            f"{_whose(network, own)} ({_remedy(network, own)}, or choose another network name)"
        )

    def guest(self, network: model.Network, definition: str) -> str:
        """What to tell of a definition that has joined another namespace's network; "" of others.

        The name may have been taken on purpose, so whoever joins is to know whose it is.
        """
        own = home(definition)
        if not network.owner or own == home(network.owner):
            return ""
        said = (
            f"{_NAD} {definition}: joins network {errors.as_written(network.name)}, which belongs "
        )
        said += f"to namespace {home(network.owner)} ({_NAD} {network.owner})"
        if self.admits(network, own):
            return said
        return (
            f"{said}; the owner did not let it in, so it serves only pods of namespace {own} "
            "(choose another network name if it was meant to be a network of its own)"
        )


def _whose(network: model.Network, namespace: str) -> str:
    own = home(network.owner)
    return (
        f"it belongs to namespace {own} ({_NAD} {network.owner}), which does not let "
        f"namespace {namespace} in"
    )


def _remedy(network: model.Network, namespace: str) -> str:
    return (
        f"whoever writes in namespace {home(network.owner)} may add {errors.as_written(namespace)} "
        f"to allowedNamespaces in spec.config of {_NAD} {network.owner}"
    )
