"""Renders the DNS row with which OVN answers for the names of a network's members (ADR 0109).

OVN answers a query on the chassis of the guest that asks, whichever server it is sent to, if the
server's MAC resolves. Where the network has no server of its own, weft's port answers for the
server's address.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from weft import model, names, rows

DNS = "DNS"


@dataclass(frozen=True, slots=True)
class NamedMember:
    """A member of a network by its name; `rank` decides who has a name that two of them want.

    `hostname`: what it calls itself beside its name, a DNS label; "" for nothing else.
    """

    name: str
    namespace: str
    addresses: tuple[model.Address, ...]
    rank: tuple[object, ...]
    hostname: str = ""


def row(network: model.Network) -> tuple[rows.Row, ...]:
    """The row of a network with `dnsRecords`, without its records (`records_of`).

    A query of another type for a name that is known is refused, and not passed on to nobody.
    """
    if not network.spec.dns_records:
        return ()
    key = names.dns_records(network.name)
    ids = {
        names.OWNER: names.network_owner(network.name),
        names.NETWORK: network.name,
        names.ROW_ID: key,
    }
    return (rows.Row(DNS, key, {"options": {"ovn-owned": "true"}, "external_ids": ids}),)


def ref(network: model.Network) -> rows.Value:
    """The `dns_records` of the network's switch."""
    if not network.spec.dns_records:
        return frozenset()
    return frozenset({rows.Ref(DNS, names.dns_records(network.name))})


def records_of(network: model.Network, members: Iterable[NamedMember]) -> rows.Row:
    """The records of the network's row: all names of all members."""
    named = (each for each in members if each.addresses)
    columns = {"records": records(network.name, named)}
    return rows.Row(DNS, names.dns_records(network.name), columns, is_part=True)


def records(network: str, members: Iterable[NamedMember]) -> Mapping[str, rows.Atom]:
    """Names and what they stand for, in lower case, as OVN compares them.

    A member is NAME.NAMESPACE.NETWORK, which no other namespace's can be; NAME.NETWORK and NAME, if
    it is the first by rank of those that are called so. Its addresses lead back to the first of
    these names that is its own. A NAME with a dot has only the whole name: it could be that of a
    member of another namespace, or of a host outside. A host name is one more NAME where no
    member is called so.
    """
    ranked = sorted(members, key=lambda each: each.rank)
    found: dict[str, rows.Atom] = {}
    for each in ranked:
        found.setdefault(_qualified(each, network), _text(each))
    hostnames = [replace(each, name=each.hostname) for each in ranked if each.hostname]
    for each in (*(one for one in ranked if "." not in one.name), *hostnames):
        found.setdefault(_qualified(each, network), _text(each))
        found.setdefault(f"{each.name}.{network}".lower(), _text(each))
        found.setdefault(each.name.lower(), _text(each))
    for each in ranked:
        name = _qualified(each, network) if "." in each.name else f"{each.name}.{network}".lower()
        for address in each.addresses:
            found.setdefault(address.reverse_pointer, name)
    return found


def _qualified(member: NamedMember, network: str) -> str:
    return f"{member.name}.{member.namespace}.{network}".lower()


def _text(member: NamedMember) -> str:
    return " ".join(map(str, member.addresses))
