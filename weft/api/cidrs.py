"""Parses the subnets of a NetConf, and checks them against its topology and each other.

The fields are `subnets`, `excludeSubnets`, `reservedSubnets` and `infrastructureSubnets`;
`weft.alloc` allocates addresses from them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise

from weft import model, ranges
from weft.api import notation
from weft.api.fields import Fields

_DEFAULT_HOST_PREFIX = {4: 24, 6: 64}
Reserved = Iterable[tuple[str, model.Subnet]]


def _listed(fields: Fields, name: str) -> Iterator[str]:
    """The items of a comma list, without the blanks around them."""
    text = fields.text(name)
    if not text:
        return
    for item in (part.strip() for part in text.split(",")):
        if item:
            yield item
        else:
            fields.refuse(name, text, "has an empty item", hint="remove the extra comma")


def _subnet(fields: Fields, name: str, text: str) -> model.Subnet | None:
    try:
        return notation.subnet(text)
    except ValueError as error:
        hint = "add the prefix length" if "/" not in text else ""
        fields.refuse(name, text, str(error), hint=hint)
        return None


def layer2_subnets(fields: Fields, reserved: Reserved) -> tuple[model.Subnet, ...]:
    """`subnets` of a layer2 or localnet network: at most one of each family.

    Problems go to `fields`; `reserved` are ranges that they must not overlap, with names."""
    found: list[model.Subnet] = []
    for text in _listed(fields, "subnets"):
        if re.fullmatch("[^/]+/[0-9]+/[0-9]+", text):
            rule = "has two prefix lengths, which only topology layer3 has"
            fields.refuse("subnets", text, rule, hint=f"write {text.rsplit('/', 1)[0]}")
            continue
        subnet = _subnet(fields, "subnets", text)
        if subnet is None:
            continue
        other = next((each for each in found if each.version == subnet.version), None)
        if other is not None:
            rule = f"is a second IPv{subnet.version} subnet beside {other}; give one of each"
            fields.refuse("subnets", text, rule, hint="widen one subnet, or make two networks")
            continue
        if subnet.max_prefixlen - subnet.prefixlen < (2 if subnet.version == 4 else 1):
            rule = f"is too small: a /{subnet.prefixlen} leaves no address for a pod"
            fields.refuse("subnets", text, rule, hint="use a shorter prefix")
            continue
        found.append(subnet)
    _refuse_overlaps(fields, found, reserved)
    return tuple(found)


def layer3_subnets(
    fields: Fields, reserved: Reserved
) -> tuple[tuple[model.Subnet, ...], tuple[int, ...]]:
    """`subnets` of a layer3 network, and the prefix length of a node subnet for each."""
    found: list[model.Subnet] = []
    lengths: list[int] = []
    for text in _listed(fields, "subnets"):
        cidr, slash, tail = text, "", ""
        if text.count("/") == 2:
            cidr, slash, tail = text.rpartition("/")
        subnet = _subnet(fields, "subnets", cidr)
        if subnet is None:
            continue
        if slash and not (tail.isascii() and tail.isdigit()):
            rule = "must end in the length of a node's subnet, a number, as in 10.128.0.0/14/23"
            fields.refuse("subnets", text, rule)
            continue
        length = int(tail) if slash else _DEFAULT_HOST_PREFIX[subnet.version]
        if _host_prefix_fits(fields, text, subnet, length):
            found.append(subnet)
            lengths.append(length)
    v4 = {length for subnet, length in zip(found, lengths, strict=True) if subnet.version == 4}
    if len(v4) > 1:
        rule = "gives IPv4 nodes subnets of different lengths; all must have one length"
        fields.refuse("subnets", fields.text("subnets"), rule)
    if not fields.has("subnets"):
        rule = "is missing; topology layer3 needs it"
        fields.refuse("subnets", None, rule, hint='add it, for example "10.128.0.0/14/23"')
    joints = [("weft's transit switches", subnet) for subnet in ranges.TRANSIT]
    _refuse_overlaps(fields, found, (*joints, *reserved))
    return tuple(found), tuple(lengths)


def _host_prefix_fits(fields: Fields, text: str, subnet: model.Subnet, length: int) -> bool:
    if subnet.version == 6 and length != 64:
        fields.refuse("subnets", text, "gives each node an IPv6 subnet that is not a /64")
        return False
    if length <= subnet.prefixlen:
        rule = f"gives each node a /{length}, which must be longer than the /{subnet.prefixlen}"
        fields.refuse("subnets", text, rule)
        return False
    if subnet.version == 4 and length > 29:
        rule = f"gives each node a /{length}; a /29 is the smallest that holds a gateway and pods"
        fields.refuse("subnets", text, rule)
        return False
    return True


def _refuse_overlaps(fields: Fields, found: list[model.Subnet], reserved: Reserved) -> None:
    widest_first = sorted(found, key=lambda each: (each.version, int(each[0]), each.prefixlen))
    for each, subnet in pairwise(widest_first):
        if notation.overlap(each, subnet):
            fields.refuse("subnets", str(subnet), f"overlaps {each} of the same network")
    for subnet in found:
        for what, taken in reserved:
            if notation.overlap(subnet, taken):
                rule = f"overlaps {taken}, {what}"
                fields.refuse("subnets", str(subnet), rule, hint="choose another range")


def subranges(
    fields: Fields, name: str, subnets: tuple[model.Subnet, ...]
) -> tuple[model.Subnet, ...]:
    """A comma list of ranges; each must lie within one of `subnets`."""
    found: list[model.Subnet] = []
    for text in _listed(fields, name):
        part = _subnet(fields, name, text)
        if part is None:
            continue
        if not any(model.within(part, subnet) for subnet in subnets):
            if subnets:
                rule = f"lies outside of subnets {', '.join(map(str, subnets))}"
            else:
                rule = "must lie within subnets, and there are none"
            fields.refuse(name, text, rule, hint=f"give {name} only ranges within subnets")
            continue
        found.append(part)
    return tuple(found)
