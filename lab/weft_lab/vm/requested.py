"""Reads the addresses that a machine asks for by `network.kubevirt.io/addresses` (KubeVirt).

Pure. The annotation is a JSON object of network names to lists of addresses; it stands on the
instance, so on the template of a VirtualMachine. Source: KubeVirt's ipam-extensions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_interface
from typing import Any

from weft.decode import budget, jsontext
from weft.errors import InvalidInput

ANNOTATION = "network.kubevirt.io/addresses"
_BUDGET = budget.Budget(size=16_384, values=256, depth=4)


def addresses(vmi: Mapping[str, Any]) -> dict[str, list[str]]:
    """By network of spec.networks; what cannot be read is left out; `findings` reports it."""
    text = (vmi["metadata"].get("annotations") or {}).get(ANNOTATION)
    try:
        value = jsontext.parse(str(text), _BUDGET) if text else {}
    except budget.Malformed:
        return {}
    found = {}
    for name, listed in value.items() if isinstance(value, dict) else ():
        if isinstance(listed, list) and all(_is_address(each) for each in listed):
            found[name] = [str(each) for each in listed]
    return found


def findings(
    called: str, metadata: Mapping[str, Any], spec: Mapping[str, Any], at: str
) -> Iterator[InvalidInput]:
    """What is wrong with the annotation of this metadata, which stands at `at`."""
    text = (metadata.get("annotations") or {}).get(ANNOTATION)
    if not text:
        return
    field = f"{at}.annotations[{ANNOTATION}]"
    try:
        value = jsontext.parse(str(text), _BUDGET)
    except budget.Malformed as error:
        yield InvalidInput(called, field, text, f"is not JSON: {error}")
        return
    if not isinstance(value, dict):
        yield InvalidInput(called, field, text, "must be an object of networks' names")
        return
    listed = spec.get("networks")
    networks = {
        each.get("name")
        for each in (listed if isinstance(listed, list) else ())
        if isinstance(each, Mapping) and "multus" in each
    }
    for name, addresses in value.items():
        if name not in networks:
            rule = f"names {name}, which is no multus network of spec.networks"
            yield InvalidInput(called, field, text, rule)
        elif not isinstance(addresses, list) or not all(_is_address(each) for each in addresses):
            rule = "must be a list of addresses, such as 10.1.0.5 or fd00::5/64"
            yield InvalidInput(called, f"{field}.{name}", addresses, rule)


def _is_address(value: object) -> bool:
    try:
        ip_interface(str(value))
    except ValueError:
        return False
    return isinstance(value, str)
