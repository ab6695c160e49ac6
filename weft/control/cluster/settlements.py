"""Decides which NADs count when several declare one network, and which of them leads.

Pure. The oldest valid NAD leads and owns the network; a NAD that may not join it, or disagrees with
it, is refused with an Event. The decision depends on the NADs and their creation times, not on the
order of events, so that a restart has the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from weft import errors, model
from weft.api import nad as reading
from weft.api import userdefined
from weft.control.cluster.nads import Nad
from weft.model import ObjectKey
from weft.policy import access


@dataclass(frozen=True, slots=True)
class Settlement:
    """Which NADs of one network are accepted, and why others are refused, by key.

    `lead` is the NAD that owns the network and defines it as `spec`.
    """

    spec: model.NetworkSpec | None = None
    lead: ObjectKey | None = None
    accepted: frozenset[ObjectKey] = frozenset()
    refused: Mapping[ObjectKey, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Declaration:
    """A NAD with the network that it stands for now: its own, or the one accepted last."""

    nad: Nad
    spec: model.NetworkSpec

    @property
    def declared(self) -> model.NetworkSpec:
        """What it is compared by: its own spec, if that is of the same network."""
        declared = self.nad.spec
        return declared if declared is not None and declared.name == self.spec.name else self.spec


# The network that a NAD is rendered for, "" for one that is written by hand.
NetworkOf = Callable[[Nad], str]


def by_hand(nad: Nad) -> str:
    """Knows of no UserDefinedNetworks."""
    return ""


def settle(
    members: Iterable[Declaration],
    rule: access.AccessRule,
    lead: ObjectKey | None = None,
    network_of: NetworkOf = by_hand,
) -> Settlement:
    """Decides which NAD of one network leads, and which others are accepted or refused.

    NADs that are rendered from one object make a network of their own: none joins that of others,
    and no other joins theirs.

    The former `lead` stays. After a restart, the NAD that is annotated as the owner leads; of
    others, an accepted NAD comes before one that is not, and then the oldest.
    """
    ordered = sorted(members, key=lambda each: (each.nad.key != lead, *_age(each)))
    refused = {each.nad.key: _reserved(each, rule, lead, network_of(each.nad)) for each in ordered}
    refused = {key: message for key, message in refused.items() if message}
    ordered = [each for each in ordered if each.nad.key not in refused]
    if not ordered:
        return Settlement(refused=refused)
    first = ordered[0]
    network = model.Network(first.spec, 0, first.nad.key)
    accepted = {first.nad.key}
    for member in ordered[1:]:
        key = member.nad.key
        if network_of(member.nad) != network_of(first.nad):
            refused[key] = _not_mixed(network, key, network_of(first.nad))
            continue
        if not rule.may_join(network, key):
            refused[key] = rule.nad_refusal(network, key)
            continue
        differing = reading.difference(first.spec, member.declared)
        # Both may be edited, one after the other, while pods keep the edit waiting.
        if differing is None or reading.difference(first.declared, member.declared) is None:
            accepted.add(key)
        else:
            refused[key] = _disagreement(first, member, differing)
    return Settlement(first.spec, first.nad.key, frozenset(accepted), refused)


def _reserved(
    member: Declaration, rule: access.AccessRule, lead: ObjectKey | None, rendered: str
) -> str:
    """Returns why a NAD may not declare a network whose name belongs to a UserDefinedNetwork.

    The names of ClusterUserDefinedNetworks are theirs alone. A name of the form of a namespace's
    UserDefinedNetworks is that namespace's, where there is one, but for who has it already.
    """
    nad, network = member.nad, member.spec.name
    named = userdefined.named_by(network)
    if named is None or rendered == network:
        return ""
    namespace, name = named
    kind = f"ClusterUserDefinedNetwork {name}"
    if namespace:
        kind = f"UserDefinedNetwork {namespace}/{name}"
        is_known = nad.key == lead or _owns(member)
        is_own = nad.key.namespace in (namespace, *rule.global_namespaces)
        if is_known or is_own or rule.labels(namespace) is None:
            return ""
    return (
        f"NetworkAttachmentDefinition {nad.key}: may not declare network "
        f"{errors.as_written(network)}: the name belongs to {kind} (choose another network name)"
    )


def _not_mixed(network: model.Network, key: ObjectKey, rendered: str) -> str:
    owner = "is rendered from another object" if rendered else "is written by hand"
    return (
        f"NetworkAttachmentDefinition {key}: may not join network "
        f"{errors.as_written(network.name)}: NetworkAttachmentDefinition {network.owner}, which "
        f"declared it first, {owner} (rename one of them)"
    )


def as_declared(nads: Iterable[Nad]) -> list[Declaration]:
    """Returns each valid NAD with its own spec, as where no pod runs yet."""
    return [Declaration(each, each.spec) for each in nads if each.spec is not None]


def _age(member: Declaration) -> tuple[bool, bool, str, ObjectKey]:
    """A sort key: the owner first, then accepted NADs, then the oldest."""
    nad = member.nad
    is_annotated = nad.annotated_name == member.spec.name
    return not _owns(member), not is_annotated, nad.created, nad.key


def _owns(member: Declaration) -> bool:
    """Whether a NAD is annotated as the owner of its network."""
    nad = member.nad
    return nad.annotated_name == member.spec.name and nad.annotated_owner == nad.key


def _disagreement(lead: Declaration, newcomer: Declaration, differing: str) -> str:
    theirs = reading.value_of(lead.spec, differing)
    own = reading.value_of(newcomer.declared, differing)
    return (
        f"NetworkAttachmentDefinition {newcomer.nad.key} declares network "
        f"{errors.as_written(lead.spec.name)} with {differing} {own}, but "
        f"NetworkAttachmentDefinition {lead.nad.key}, which was first, with {theirs} "
        f"(make {differing} the same in both, or choose another network name)"
    )
