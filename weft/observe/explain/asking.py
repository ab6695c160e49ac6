"""Asks which address an end uses, at its port on its node (`onnodeask`), and judges the answer.

Pure. It is for ends of which nobody says what they have: pods of a cluster, and guests without an
agent. What a guest says is its own word: it is read as text of a bounded number of addresses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Any

from weft import model
from weft.observe.explain import hops
from weft.observe.explain.evidence import End, Evidence, PortAnswer, Unseen
from weft.observe.explain.step import Step, fault, note, ok, unseen

SOURCE, TARGET = "source", "target"
MOST = 64  # MACs and addresses of an answer
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_LONGEST = 300  # characters of an error


def order(role: str, evidence: Evidence, patience: float) -> dict[str, Any] | None:
    """What to ask the node of an end; None if it was given no address to ask for."""
    ends = {SOURCE: evidence.source, TARGET: evidence.target}
    addresses = {SOURCE: evidence.connection.source, TARGET: evidence.connection.target}
    end, address = ends[role], addresses[role]
    other = TARGET if role == SOURCE else SOURCE
    if end.member is None or address is None or given(end, address) is None:
        return None
    peer = None
    mac = hops.mac_towards(end, ends[other], evidence)
    if mac and addresses[other] is not None:
        peer = {"address": str(addresses[other]), "mac": mac}
    return {
        "port": end.port,
        "pod": end.member.pod,
        "address": str(address),
        "mac": end.member.mac,
        "peer": peer,
        "patience": patience,
    }


def given(end: End, address: model.Address) -> model.Interface | None:
    """What the end was given with this address."""
    return next((each for each in end.allocated if each.ip == address), None)


def read(answer: Mapping[str, Any], order: Mapping[str, Any]) -> PortAnswer | Unseen:
    """What a node says of an end that it asked."""
    if error := answer.get("error"):
        return Unseen(str(error)[:_LONGEST])
    try:
        echoed = answer["echoed"]
        return PortAnswer(
            address=ip_address(order["address"]),
            answered=tuple(map(_mac, answer["answered"][:MOST])),
            senders=tuple((_mac(mac), ip_address(ip)) for mac, ip in answer["senders"][:MOST]),
            by_dhcp=answer["by_dhcp"] is True,
            echoed=echoed and _mac(echoed),
            sought=tuple(map(ip_address, answer["sought"][:MOST])),
        )
    except (KeyError, TypeError, ValueError):
        return Unseen("its answer cannot be read")


def _mac(text: str) -> str:
    """Raises TypeError or ValueError for other text: it comes from a node, and is shown."""
    if not _MAC.fullmatch(text):
        raise ValueError("no MAC")
    return text


def judge(role: str, evidence: Evidence, why: str) -> Iterator[Step]:
    """What an end does that was asked at its port; `why` it was, if nobody could ask."""
    name = f"{role} address"
    found = evidence.asked.get(role)
    if not isinstance(found, PortAnswer):
        yield unseen(name, f"{why}; {found.reason}" if found else why)
        return
    is_source = role == SOURCE
    end, other = evidence.source, evidence.target
    if not is_source:
        end, other = other, end
    own = given(end, found.address)
    assert end.member is not None
    if end.member.mac in found.answered:
        yield _held(name, end, other, own, found, evidence)
    elif found.answered:
        seen = f"{end.name} uses the MAC {found.answered[0]}, but was given {end.member.mac}"
        if end.security:
            seen += ": OVN drops what it sends (port security)"
        yield fault(name, seen, f"set {end.member.mac} on its interface")
    else:
        yield _absent(name, end, own, found)


def _next(end: End, peer: model.Address | None, evidence: Evidence) -> model.Address | None:
    """Whose MAC the end asks for before it answers the other end."""
    if not hops.is_routed(evidence) or peer is None:
        return peer
    router = hops.gateway(end, peer.version)
    return router.ip if router else None


def _absent(name: str, end: End, own: model.Interface | None, found: PortAnswer) -> Step:
    """Nobody has the address at the port."""
    assert end.member is not None
    mine = {each.ip for each in end.allocated}
    version = found.address.version
    others = [
        (mac, ip)
        for mac, ip in found.senders
        if ip.version == version and not ip.is_link_local and ip not in mine
    ]
    if others:
        mac, ip = others[0]
        seen = f"{end.name} uses {ip}, but was given {own}"
        seen += "" if mac == end.member.mac else f", and the MAC {mac}, not {end.member.mac}"
        if end.security:
            seen += ": OVN drops what it sends (port security)"
        return fault(name, seen, f"set {own} there")
    strangers = [mac for mac, _ in found.senders if mac != end.member.mac]
    if strangers:
        seen = f"{end.name} sends from the MAC {strangers[0]}, but was given {end.member.mac}"
        return fault(name, seen, f"set {end.member.mac} and {own} on its interface")
    what = "asks for an address by DHCP, and takes none"
    if not found.by_dhcp:
        asked = "ARP" if version == 4 else "Neighbour Discovery"
        what = f"has no address, or is not up: it does not answer {asked} at its own port"
    remedy = f"let it ask by DHCP, or set {own} on the interface with MAC {end.member.mac}"
    return fault(name, f"{end.name} {what}; it was given {own}", remedy)


def _held(
    name: str,
    end: End,
    other: End,
    own: model.Interface | None,
    found: PortAnswer,
    evidence: Evidence,
) -> Step:
    """The end has its address; a ping as from the other end says in which subnet."""
    seen = f"{own}, answers at its own port"
    if found.echoed is None:
        return ok(name, seen)
    peer = evidence.connection.target if end is evidence.source else evidence.connection.source
    if found.echoed:
        if found.echoed == hops.mac_towards(end, other, evidence):
            return ok(name, f"{seen}, and pings from {other.name}'s address")
        router = hops.gateway(end, found.address.version) if hops.is_routed(evidence) else None
        wrong = f"{end.name} has {found.address} in a subnet without {peer}"
        wrong = f"{end.name} sends what is for {peer} past {router.ip}" if router else wrong
        why = f"{wrong}: it answers to {found.echoed} (wrong prefix length or route)"
        way = f" and a route through {router.ip}" if router else ""
        return fault(name, why, f"set {own}{way} there")
    if _next(end, peer, evidence) in found.sought:
        return ok(name, seen)
    silent = f"{seen}, but no ping from {other.name}'s address"
    if end is evidence.source:  # who drops pings that come may well send some
        return unseen(name, f"{silent}: it drops pings, or has no route to {peer}")
    if evidence.connection.protocol is not None:
        return note(name, silent)
    # What it looks for may be another's traffic: it is shown, and proves nothing.
    looks = next((each for each in found.sought if each.version == found.address.version), None)
    why = (
        f"{end.name} has {found.address}, and answers no ping at its own port: it has a firewall "
        f"that drops it, or no route to {peer} (wrong prefix length?)"
    )
    why += f"; meanwhile it looked for {looks}" if looks else ""
    remedy = f"look at nft list ruleset, ip route and ip addr in {end.name}; it was given {own}"
    return fault(name, why, remedy)
