"""Parses and renders DHCP options by code: of a network, of a NIC, and which NICs may set.

    {"42": ["10.1.0.9"], "bootfile_name": "pxelinux.0"}

A key is a code or OVN's name for it. Values become texts that OVN and the agent send as they are,
so nothing but what its kind allows is ever in one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address

from weft import dhcpcodes, model
from weft.api.fields import Fields, kind_of
from weft.dhcpcodes import ValueKind

MAX_OPTIONS, MAX_VALUES = 16, 8
# By family: the key of a network's `dhcp`, and the key of a NIC and of `permits`.
NETWORK_KEYS = {4: "options", 6: "options6"}
NIC_KEYS = {4: "dhcpOptions", 6: "dhcpOptions6"}
_TEXT = re.compile(r"[ !#-\[\]-~]{1,255}")  # no quotes, which end a text in OVN, no backslashes
_NAME = re.compile(
    r"(?=.{2,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?)*"
)
# Bytes of an option. A name takes two more than its text: the length of its first label, and the
# end (RFC 3397, 2). OVN counts them in one byte, and sends what is more as options of their own.
_LONGEST = 255
_MOST = {ValueKind.BYTE: 255, ValueKind.NUMBER: 2**32 - 1}


def read(outer: Fields, keys: Mapping[int, str]) -> tuple[model.DhcpOption, ...]:
    """The options in an object's fields, by code; problems are in `outer`."""
    found = {}
    for family, key in keys.items():
        fields = outer.nested(key)
        for each in _options(fields, family) if fields is not None else ():
            found[each[:2]] = each
    return tuple(found[at] for at in sorted(found))


def permits(reader: Fields) -> tuple[tuple[int, int], ...]:
    """The family and code of each option that NICs may set."""
    found = set()
    for family, key in NIC_KEYS.items():
        for place, text in reader.strings(key):
            code = _code(reader, place, text, family)
            if code is not None:
                found.add((family, code))
    return tuple(sorted(found))


def render(options: Iterable[model.DhcpOption]) -> dict[str, object]:
    """The NIC's fields that `read` reads; empty if there are none."""
    found: dict[str, dict[str, object]] = {}
    for each in options:
        kind = dhcpcodes.OF_FAMILY[each.family][each.code].kind
        found.setdefault(NIC_KEYS[each.family], {})[str(each.code)] = _as_json(kind, each.values)
    return dict(found)


def _as_json(kind: ValueKind, values: tuple[str, ...]) -> object:
    if kind in (ValueKind.ADDRESSES, ValueKind.ADDRESSES6, ValueKind.NAMES):
        return list(values)
    if kind in _MOST:
        return int(values[0])
    return values[0] == "1" if kind is ValueKind.FLAG else values[0]


def _options(fields: Fields, family: int) -> Iterator[model.DhcpOption]:
    if len(fields.raw) > MAX_OPTIONS:
        fields.refuse("", None, f"has {len(fields.raw)} options; {MAX_OPTIONS} are allowed")
        return
    codes: set[int] = set()
    for key, value in fields.raw.items():
        code = _code(fields, key, key, family)
        if code is None or value is None:
            continue
        if code in codes:
            fields.refuse(key, None, "is set twice, by code and by name", hint="remove one")
        codes.add(code)
        values = _values(fields, key, value, dhcpcodes.OF_FAMILY[family][code].kind)
        if values:
            yield model.DhcpOption(family, code, values)


def _code(fields: Fields, place: str, text: str, family: int) -> int | None:
    known = dhcpcodes.OF_FAMILY[family]
    by_name = {each.name: code for code, each in known.items()}
    code = int(text) if text.isascii() and text.isdecimal() and len(text) < 4 else by_name.get(text)
    if code in known:
        return code
    listed = ", ".join(f"{code} ({each.name})" for code, each in known.items())
    rule = f"is no DHCPv{family} option that can be set; these can: {listed}"
    fields.refuse(place, None if place == text else text, rule)
    return None


def _values(fields: Fields, key: str, value: object, kind: ValueKind) -> tuple[str, ...]:
    """The value's texts; a problem is reported, and gives none."""
    listed = value if isinstance(value, list) else [value]
    is_list = kind in (ValueKind.ADDRESSES, ValueKind.ADDRESSES6, ValueKind.NAMES)
    if isinstance(value, list) and not is_list:
        fields.refuse(key, value, f"must be {kind}, not {kind_of(value)}")
        return ()
    if not 1 <= len(listed) <= MAX_VALUES:
        fields.refuse(key, None, f"must have 1 to {MAX_VALUES} values")
        return ()
    try:
        found = tuple(_value(each, kind) for each in listed)
    except ValueError:
        fields.refuse(key, value, f"must be {kind}")
        return ()
    if kind is ValueKind.NAMES and (length := sum(len(each) + 2 for each in found)) > _LONGEST:
        fields.refuse(key, None, f"needs {length} bytes; an option has at most {_LONGEST}")
        return ()
    return found


def _value(value: object, kind: ValueKind) -> str:
    """One value as text; raises ValueError."""
    if kind is ValueKind.FLAG and isinstance(value, bool):
        return str(int(value))
    if kind in _MOST and isinstance(value, int) and not isinstance(value, bool):
        if 0 <= value <= _MOST[kind]:
            return str(value)
    elif isinstance(value, str):
        if kind in (ValueKind.ADDRESS, ValueKind.ADDRESSES):
            return str(IPv4Address(value))
        if kind is ValueKind.ADDRESSES6 and "%" not in value:
            return str(IPv6Address(value))
        rule = {ValueKind.TEXT: _TEXT, ValueKind.NAMES: _NAME}.get(kind)
        if rule is not None and rule.fullmatch(value):
            return value
    raise ValueError
