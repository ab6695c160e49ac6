"""Checks that an attachment's requested gateways are on a subnet of its addresses.

Pure. The pod's kernel accepts no other gateway, and its error would name neither the pod nor the
field, so weft checks first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from weft import errors, model

FIELD = "default-route"


def check(
    where: str, gateways: Iterable[model.Address], addresses: Sequence[model.Interface]
) -> None:
    """Raises InvalidInput for the first gateway that no subnet of `addresses` contains."""
    for gateway in gateways:
        objection = _objection(gateway, addresses)
        if objection:
            rule, hint = objection
            raise errors.InvalidInput(where, FIELD, str(gateway), rule, hint=hint)


def _objection(
    gateway: model.Address, addresses: Sequence[model.Interface]
) -> tuple[str, str] | None:
    if gateway.is_link_local and gateway.version == 6:
        return None  # link-local: every interface has such an address
    if not addresses:
        return "cannot be reached: the attachment has no address", "request ips, or remove it"
    listed = ", ".join(map(str, addresses))
    family = [each for each in addresses if each.version == gateway.version]
    if not family:
        rule = f"is IPv{gateway.version}, but the attachment has only {listed}"
        return rule, "name gateways of the families of its addresses"
    if any(gateway == each.ip for each in family):
        return "is the attachment's own address", "name the router's, or request other ips"
    if not any(gateway in each.network for each in family):
        reached = ", ".join(str(each.network) for each in family)
        return f"lies outside of {reached}, where the attachment is", f"choose one of {reached}"
    return None
