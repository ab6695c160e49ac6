"""What does a Node object say about reaching the node's OVN zone?

The agent on each node writes its chassis and tunnel endpoints, the cluster manager the node's
id; this reads both and renders each one's part.
"""

from __future__ import annotations

import re

import orjson

from weft import errors, model, names
from weft.api import fields, objects, written

KIND = "Node"
_CHASSIS = re.compile(r"[!-+\--~]{1,253}")


def parse(node: object) -> model.NodeInfo:
    """What is known so far; fields that nobody has written yet are empty."""
    subject = objects.subject(KIND, node)
    chassis = objects.annotation(KIND, node, names.NODE_CHASSIS_ID).strip()
    if chassis:
        check_chassis(subject, names.NODE_CHASSIS_ID, chassis)
    return model.NodeInfo(
        name=objects.key(node)[1],
        chassis=chassis,
        encap_ips=_encap_ips(subject, objects.annotation(KIND, node, names.NODE_ENCAP_IPS)),
        id=_id(subject, objects.annotation(KIND, node, names.NODE_ID).strip()),
    )


def check_chassis(subject: str, field: str, chassis: str) -> None:
    """Refuses what OVN cannot bind a port to: it takes a list of names, with commas between."""
    if not _CHASSIS.fullmatch(chassis):
        rule = "must be a chassis name: printable, without blanks and without commas"
        raise errors.InvalidInput(subject, field, chassis, rule)


def _encap_ips(subject: str, text: str) -> tuple[str, ...]:
    if not text:
        return ()
    listed = fields.decode(subject, names.NODE_ENCAP_IPS, text)
    found: list[errors.InvalidInput] = []
    reader = fields.Fields(subject, "", {names.NODE_ENCAP_IPS: listed}, found)
    addresses = []
    for place, item in reader.strings(names.NODE_ENCAP_IPS):
        try:
            addresses.append(str(written.address(item)))
        except ValueError as error:
            reader.refuse(place, item, str(error))
    if found:
        raise found[0]
    return tuple(addresses)


def _id(subject: str, text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        rule = "must be a whole number"
        raise errors.InvalidInput(subject, names.NODE_ID, text, rule)
    return int(text)


def render_zone(chassis: str, encap_ips: tuple[str, ...]) -> dict[str, str]:
    """The annotations that a node's agent writes about its own zone."""
    return {
        names.NODE_CHASSIS_ID: chassis,
        names.NODE_ENCAP_IPS: orjson.dumps(list(encap_ips)).decode(),
    }


def render_id(number: int) -> dict[str, str]:
    """The annotation that the cluster manager writes."""
    return {names.NODE_ID: str(number)}
