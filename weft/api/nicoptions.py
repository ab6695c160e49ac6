"""Parses and renders what a NIC asks for beside addresses and MAC, and what a network permits.

A pod says it in `cni-args` of a selection element, or for all its NICs of a NAD in the annotation
`weft/nic-options`, which also reaches the pods of virtual machines:

    {"[<namespace>/]<nad>": {"portSecurity": "mac", "allowedAddressPairs": [{"ip": "10.1.0.100"}]}}

A network has `portSecurity` and `bandwidth` as defaults, and `permits` for what NICs may ask for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_network

from weft import errors, model, names
from weft.api import bandwidth, dhcpoptions, fields, notation
from weft.api.fields import Fields
from weft.model import ObjectKey

# OVN has flows for each pair of each port.
MAX_PAIRS = 16
PORT_SECURITY, PAIRS, PERMITS = "portSecurity", "allowedAddressPairs", "permits"


def read(reader: Fields) -> model.NicOptions:
    """What an object's fields ask for; problems are in `reader`."""
    dhcp = dhcpoptions.read(reader, dhcpoptions.NIC_KEYS)
    return model.NicOptions(bandwidth.read(reader), level(reader), _pairs(reader), dhcp)


def defaults(reader: Fields) -> model.NicOptions:
    """What a NetConf says for NICs that ask for nothing."""
    return model.NicOptions(bandwidth.read(reader), level(reader))


def level(reader: Fields) -> model.PortSecurity | None:
    text = reader.text(PORT_SECURITY)
    if text in list(model.PortSecurity):
        return model.PortSecurity(text)
    if text:
        reader.refuse(PORT_SECURITY, text, f"must be one of {', '.join(model.PortSecurity)}")
    return None


def permits(outer: Fields) -> model.Permits:
    """What a network's owner lets NICs ask for."""
    reader = outer.nested(PERMITS)
    if reader is None:
        return model.Permits()
    reader.only(PORT_SECURITY, PAIRS, *dhcpoptions.NIC_KEYS.values())
    listed = list(reader.strings(PAIRS))
    if len(listed) > MAX_PAIRS:
        reader.refuse(PAIRS, None, f"has {len(listed)} ranges; {MAX_PAIRS} are allowed")
        listed = []
    weakest = level(reader) or model.PortSecurity.STRICT
    ranges = tuple(reader.each(listed, _range))
    return model.Permits(weakest, ranges, dhcpoptions.permits(reader))


def _pairs(reader: Fields) -> tuple[model.AddressPair, ...]:
    listed = list(reader.objects(PAIRS))
    if len(listed) > MAX_PAIRS:
        reader.refuse(PAIRS, None, f"has {len(listed)} pairs; a NIC can have {MAX_PAIRS}")
        return ()
    found = []
    for _, each in listed:
        each.only("ip", "mac")
        if each.missing("ip"):
            each.refuse("ip", None, "is missing", hint="name an address or a range")
        ranges = each.each([("ip", each.text("ip"))] if each.text("ip") else [], _range)
        text = each.text("mac")
        macs = list(each.each([("mac", text)] if text else [], notation.mac))
        found += [model.AddressPair(one, macs[0] if macs else "") for one in ranges]
    return tuple(dict.fromkeys(found))


def _range(text: str) -> model.Subnet:
    return notation.subnet(text) if "/" in text else ip_network(notation.address(text))


def of_nads(
    subject: str, text: str, pod_namespace: str, found: list[errors.InvalidInput]
) -> Mapping[ObjectKey, model.NicOptions]:
    """What the annotation `weft/nic-options` says, by NAD; problems are in `found`."""
    if not text:
        return {}
    raw = fields.as_object(
        subject, names.NIC_OPTIONS, fields.decode(subject, names.NIC_OPTIONS, text)
    )
    outer = Fields(subject, names.NIC_OPTIONS, raw, found)
    made = {}
    for name in raw:
        nad = ObjectKey.parse(name) if "/" in name else ObjectKey(pod_namespace, name)
        reader = outer.nested(name)
        if reader is not None:
            reader.only("bandwidth", PORT_SECURITY, PAIRS, *dhcpoptions.NIC_KEYS.values())
            made[nad] = read(reader)
    return made


def over(one: model.NicOptions, other: model.NicOptions) -> model.NicOptions:
    """What `one` says, and the `other` where it says nothing."""
    return replace(
        one,
        bandwidth=one.bandwidth.over(other.bandwidth),
        port_security=one.port_security or other.port_security,
        address_pairs=one.address_pairs or other.address_pairs,
        dhcp=one.dhcp or other.dhcp,
    )


def render(nic: model.NicOptions) -> dict[str, object]:
    """The fields that `read` reads; empty values for what is not said."""
    pairs = [
        {"ip": str(each.subnet), **({"mac": each.mac} if each.mac else {})}
        for each in nic.address_pairs
    ]
    return {
        "bandwidth": bandwidth.render(nic.bandwidth),
        PORT_SECURITY: str(nic.port_security or ""),
        PAIRS: pairs,
        **dhcpoptions.render(nic.dhcp),
    }
