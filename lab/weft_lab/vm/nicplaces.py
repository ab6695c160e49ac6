"""Names the PCIe root port that each NIC of a machine sits in. Pure.

QEMU finds the devices of a guest that comes from another node by their places: the target must have
each where the source has it, and as many root ports. The launcher says the places, the handler
writes them to the instance where they are not those of a machine that starts, and the target's
launcher reads them from there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from weft_lab.vm import machine

ANNOTATION = "lab.weft/nic-places"
OWN, SPARE = "port", "spare"  # prefixes of root ports: made for a card, and for one to come
MOST_PORTS = 64  # of one machine
_LONGEST = 8192  # characters
_BUS = re.compile(f"({OWN}|{SPARE})(0|[1-9][0-9]?)")


@dataclass(frozen=True, slots=True)
class Places:
    """`ports`: how many root ports were made for cards. `buses`: the root port of each NIC, by its
    name; several ports may be free."""

    ports: int
    buses: Mapping[str, str]

    def rendered(self) -> dict[str, Any]:
        return {"ports": self.ports, "buses": dict(self.buses)}


def at_start(nics: Iterable[machine.Nic]) -> Places:
    """Of a machine that boots: each NIC in a port of its own, in order."""
    buses = {nic.name: f"{OWN}{index}" for index, nic in enumerate(nics)}
    return Places(len(buses), buses)


def macs_at_start(places: Places, macs: Mapping[str, str]) -> list[str]:
    """By the ports that were made for cards; "" where none is. `macs` are by the NIC's name.

    Of these the seed is made: a NIC that came later changes nothing in it where the machine moves.
    """
    there = {bus: macs[name] for name, bus in places.buses.items() if name in macs}
    return [there.get(f"{OWN}{index}", "") for index in range(places.ports)]


def spare_ports(cards: int) -> int:
    """How many root ports are kept free for NICs to come, as KubeVirt counts them."""
    return max(0, 4 - cards) if cards else 0


def spare(bus: str) -> int:
    """The number of a spare port; -1 for a port that was made for a card."""
    return int(bus.removeprefix(SPARE)) if bus.startswith(SPARE) else -1


def parse(value: object) -> Places:
    """Of what `rendered` made, which a guest's pod or a tenant may have written.

    Raises ValueError unless each NIC has a port that is there, and no other has the same.
    """
    if not isinstance(value, Mapping):
        raise ValueError("an object is expected")
    ports, buses = value.get("ports"), value.get("buses")
    if type(ports) is not int or not 0 <= ports <= MOST_PORTS:
        raise ValueError(f"ports: a number from 0 to {MOST_PORTS} is expected")
    if not isinstance(buses, Mapping) or len(buses) > MOST_PORTS:
        raise ValueError(f"buses: an object of at most {MOST_PORTS} names is expected")
    room = {OWN: ports, SPARE: spare_ports(ports)}
    for name, bus in buses.items():
        found = _BUS.fullmatch(bus) if isinstance(bus, str) else None
        if found is None or int(found[2]) >= room[found[1]]:
            raise ValueError(f"buses[{str(name)[:63]}]: a port of this machine is expected")
    if len({*buses.values()}) < len(buses):
        raise ValueError("buses: two NICs have one port")
    return Places(ports, {str(name): str(bus) for name, bus in buses.items()})


def of_annotations(annotations: Mapping[str, Any], nics: tuple[machine.Nic, ...]) -> Places:
    """The places that an instance names; those of its start where it names none.

    Raises ValueError for an annotation that cannot be followed.
    """
    text = annotations.get(ANNOTATION)
    if text is None:
        return at_start(nics)
    if len(str(text)) > _LONGEST:
        raise ValueError(f"longer than {_LONGEST} characters")
    return parse(orjson.loads(str(text)))  # which bounds nesting


def annotation(places: Places, nics: tuple[machine.Nic, ...]) -> str | None:
    """What the instance is to say; None where a machine of these NICs would start so."""
    if places == at_start(nics):
        return None
    return json.dumps(places.rendered(), separators=(",", ":"))


def are_other(vmi: Mapping[str, Any], pod: Mapping[str, Any]) -> bool:
    """Whether the NICs of an instance sit elsewhere by now than its pod was told."""
    given, now = ((each["metadata"].get("annotations") or {}) for each in (pod, vmi))
    return given.get(ANNOTATION) != now.get(ANNOTATION)
