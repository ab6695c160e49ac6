"""Defines what one node has seen of flows, and the JSON form of its answer. Pure.

An answer comes from a node: what does not have this form raises ValueError, and no list is longer
than the node may send.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from ipaddress import ip_address
from typing import Any

from weft import errors
from weft.observe.flows.record import Evidence

MOST = 2000  # sightings of an answer; the node says how many more there are
MOST_PORTS = 20_000
_LONGEST = 300  # characters of a text


@dataclass(frozen=True, slots=True)
class Side:
    """One end as a node saw it: its logical port, where it is known, else only its addresses."""

    port: str = ""
    address: str = ""
    mac: str = ""


@dataclass(frozen=True, slots=True)
class Sighting:
    """Connections or packets that are alike, as one node saw them.

    `passes`: whether they arrive; None: they left the source's port, and this node does not know
    more. `at`: the logical port whose zone tracks them, "" elsewhere. `is_answered`: whether the
    target has answered. `connections`, `packets` and `bytes` are None where nobody counts, times
    are in seconds since the epoch, 0 if unknown. `family` is 4 or 6. `direction` and `stage` say
    what dropped them: "Ingress" or "Egress" of policies, or words for what is no policy; "" if
    unknown. `more`: how many further ports or addresses are summed up in it.
    """

    evidence: Evidence
    network: str
    source: Side
    target: Side
    passes: bool | None
    family: int = 4
    protocol: str = ""
    port: int | None = None
    is_directed: bool = True
    is_answered: bool = False
    at: str = ""
    direction: str = ""
    stage: str = ""
    connections: int | None = None
    packets: int | None = None
    bytes: int | None = None
    first: float = 0.0
    last: float = 0.0
    more: int = 0


@dataclass(frozen=True, slots=True)
class ZonePort:
    """A logical port of a pod, as the node's OVN zone has it: of signed allocations alone.

    `pod` is "<namespace>/<name>". `is_here`: the port is on that node.
    """

    name: str
    network: str
    pod: str
    mac: str
    addresses: tuple[str, ...] = ()
    is_here: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """A node's answer. `tracked`: the ports whose connections were read completely."""

    at: float = 0.0
    ports: tuple[ZonePort, ...] = ()
    sightings: tuple[Sighting, ...] = ()
    tracked: frozenset[str] = frozenset()
    left_off: int = 0
    notices: tuple[str, ...] = field(default=())


def at(seen: Sighting, first: float, last: float) -> Sighting:
    """The same, between these times."""
    return replace(seen, first=first, last=last)


def render(look: Look) -> dict[str, Any]:
    """The answer as JSON."""
    return {
        "at": look.at,
        "ports": [asdict(each) for each in look.ports[:MOST_PORTS]],
        "sightings": [asdict(each) for each in look.sightings[:MOST]],
        "tracked": sorted(look.tracked),
        "left_off": look.left_off + max(len(look.sightings) - MOST, 0),
        "notices": list(look.notices),
    }


def parse(found: Mapping[str, Any]) -> Look:
    """Reads an answer. Raises ValueError if it is none."""
    try:
        return Look(
            at=_seconds(found["at"]),
            ports=tuple(map(_port, _listed(found["ports"], MOST_PORTS))),
            sightings=tuple(map(_sighting, _listed(found["sightings"], MOST))),
            tracked=frozenset(map(_text, _listed(found["tracked"], MOST_PORTS))),
            left_off=_number(found["left_off"]) or 0,
            notices=tuple(map(_text, _listed(found["notices"], 100))),
        )
    except (AttributeError, KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None


def _port(found: Mapping[str, Any]) -> ZonePort:
    return ZonePort(
        name=_text(found["name"]),
        network=_text(found["network"]),
        pod=_text(found["pod"]),
        mac=_text(found["mac"]),
        addresses=tuple(map(_address, _listed(found["addresses"], 64))),
        is_here=found["is_here"] is True,
    )


def _sighting(found: Mapping[str, Any]) -> Sighting:
    passes = found["passes"]
    if passes not in (True, False, None):
        raise ValueError(f"{passes!r} is no verdict")
    return Sighting(
        evidence=Evidence(found["evidence"]),
        network=_text(found["network"]),
        source=_side(found["source"]),
        target=_side(found["target"]),
        passes=passes,
        family=6 if found["family"] == 6 else 4,
        protocol=_text(found["protocol"]),
        port=_number(found["port"]),
        is_directed=found["is_directed"] is True,
        is_answered=found["is_answered"] is True,
        at=_text(found["at"]),
        direction=_text(found["direction"]),
        stage=_text(found["stage"]),
        connections=_number(found["connections"]),
        packets=_number(found["packets"]),
        bytes=_number(found["bytes"]),
        first=_seconds(found["first"]),
        last=_seconds(found["last"]),
        more=_number(found["more"]) or 0,
    )


def _side(found: Mapping[str, Any]) -> Side:
    return Side(_text(found["port"]), _address(found["address"]), _text(found["mac"]))


def _listed(found: Any, most: int) -> Iterable[Any]:
    if not isinstance(found, list) or len(found) > most:
        raise ValueError("a list is missing or too long")
    return found


def _text(found: Any) -> str:
    """Printable, so that no terminal is told anything."""
    if not isinstance(found, str) or len(found) > _LONGEST:
        raise ValueError("a text is missing or too long")
    return errors.printable(found)


def _address(found: Any) -> str:
    return str(ip_address(_text(found))) if found else ""


def _number(found: Any) -> int | None:
    if found is not None and (type(found) is not int or not 0 <= found < 1 << 63):
        raise ValueError(f"{found!r} is no count")
    return found


def _seconds(found: Any) -> float:
    if type(found) not in (int, float) or not 0 <= found < 1e11:
        raise ValueError(f"{found!r} is no time")
    return float(found)
