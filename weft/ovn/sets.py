"""Renders the Northbound rows of address sets: the addresses of a selector's pods on a network.

A set holds MACs, or on a layer3 network addresses of each family; ACLs refer to it by its name.
`weft.control.zone` decides what is in a set and writes it into existing rows (`membership`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from weft import model, names, rows
from weft.policy import netpolicy

SET = "Address_Set"


@dataclass(frozen=True, slots=True)
class AddressSet:
    """The addresses of all pods that `selector` selects on a network, on any node; with a `port`,
    only of pods that have `number` for that port name."""

    network: str
    selector: netpolicy.PodSelector
    protocol: netpolicy.Protocol | None = None
    port: str = ""
    number: int = 0

    @property
    def id(self) -> str:
        """A text that only equal sets have."""
        service = (self.protocol, self.port, self.number) if self.port else ()
        return names.set_id(self.network, _members(self.selector), *service)

    @property
    def name(self) -> str:
        """The name without the suffix of a family."""
        return names.identifier(self.id)


def rows_of(set: AddressSet, network: model.Network) -> tuple[rows.Row, ...]:
    """The rows of a set, without addresses: one of MACs, or on a layer3 network of each family."""
    return tuple(
        rows.Row(
            SET,
            set.name + suffix,
            {
                "name": set.name + suffix,
                "external_ids": {
                    names.OWNER: names.network_owner(set.network),
                    names.NETWORK: set.network,
                    names.ROW_ID: set.id + suffix,
                },
            },
        )
        for suffix in _suffixes(network)
    )


def addresses(network: model.Network, allocation: model.Allocation) -> Mapping[str, frozenset[str]]:
    """The addresses that one attachment adds to each row of a set, by the row's suffix."""
    if not _is_routed(network):
        return {"": frozenset({allocation.mac})}
    return {
        suffix: frozenset(
            str(address.ip) for address in allocation.addresses if suffix == f"_v{address.version}"
        )
        for suffix in _suffixes(network)
    }


def membership(
    set: AddressSet, network: model.Network, allocation: model.Allocation, present: bool
) -> tuple[rows.Row, ...]:
    """Add an attachment to a set or remove it. While a VM migrates two attachments have one
    address: the caller removes it with the last of them."""
    return tuple(
        rows.Row(
            SET,
            set.name + suffix,
            {"addresses": rows.SetMembers(brought) if present else rows.SetMembers(absent=brought)},
            is_part=True,
        )
        for suffix, brought in addresses(network, allocation).items()
        if brought
    )


def names_by_field(sets: Iterable[AddressSet], network: model.Network) -> dict[str, list[str]]:
    """The names of the rows of `sets`, sorted, by the match field that they are compared with."""
    fields = {"": "eth", "_v4": "ip4", "_v6": "ip6"}
    every = sorted({each.name for each in sets})
    return {fields[s]: [name + s for name in every] for s in _suffixes(network) if every}


def _is_routed(network: model.Network) -> bool:
    return network.spec.topology is model.Topology.LAYER3


def _suffixes(network: model.Network) -> tuple[str, ...]:
    if not _is_routed(network):
        return ("",)
    return tuple(f"_v{family}" for family in sorted({s.version for s in network.spec.subnets}))


def _members(members: netpolicy.PodSelector) -> str:
    """A text that only equal selectors have."""
    home = f"[{members.namespace}]" if members.namespace else _selector(members.namespaces)
    return f"{home}/{_selector(members.pods)}"


def _selector(selector: netpolicy.Selector) -> str:
    requirements = (names.requirement(r.key, r.operator, r.values) for r in selector.requirements)
    return "{" + "; ".join(requirements) + "}"
