"""Decides whether a network permits what a NIC asks for beside its addresses and MAC.

Pure. The network's owner permits by `permits` in the NAD.
"""

from __future__ import annotations

from collections.abc import Callable

from weft import errors, model, names


def check(
    label: str,
    spec: model.NetworkSpec,
    attachment: model.Attachment,
    holder: Callable[[str], str],
) -> None:
    """Raises InvalidInput for what the network does not permit, Conflict for another's MAC.

    `label` is the pod in messages; `holder` names who holds a MAC on the network, "" for nobody.
    """
    where, nic = f"{label}, attachment {attachment.key} to network {spec.name}", attachment.nic
    asked = nic.port_security
    if asked is not None and not spec.allows(asked):
        raise errors.InvalidInput(
            where,
            "portSecurity",
            str(asked),
            f"is more than network {spec.name} permits: {spec.default_security}",
            hint=f'its owner can permit it in the NAD: "permits": {{"portSecurity": "{asked}"}}',
        )
    _check_dhcp(where, spec, nic)
    for index, pair in enumerate(nic.address_pairs):
        field = f"allowedAddressPairs[{index}]"
        if pair.mac == names.SERVER_MAC:
            rule = "is where the DHCP and router advertisements of every network come from"
            raise errors.InvalidInput(where, f"{field}.mac", pair.mac, rule, hint="choose another")
        if not spec.allows_mac(pair.mac):
            raise errors.InvalidInput(
                where,
                f"{field}.mac",
                pair.mac,
                f"is no MAC of a virtual router ({', '.join(model.VIRTUAL_ROUTER_MACS)}...)",
                hint="its owner can permit any by the NAD's "
                f'"permits": {{"portSecurity": "{model.PortSecurity.OFF}"}}',
            )
        if not spec.allows_pair(pair):
            permitted = ", ".join(map(str, spec.permits.address_pairs)) or "none"
            shown = str(pair.subnet)
            raise errors.InvalidInput(
                where,
                f"{field}.ip",
                shown,
                f"is more than network {spec.name} permits: {permitted}",
                hint="its owner can permit it in the NAD: "
                f'"permits": {{"allowedAddressPairs": ["{shown}"]}}',
            )
        if pair.mac and (held := holder(pair.mac)) not in ("", label):
            raise errors.Conflict(
                f"{field}.mac {errors.as_written(pair.mac)}: is held by {held}",
                where=where,
                hint="request another one; the pod continues when this one is free",
                field=f"{field}.mac",
            )


def _check_dhcp(where: str, spec: model.NetworkSpec, nic: model.NicOptions) -> None:
    for option in nic.dhcp:
        if option[:2] not in spec.permits.dhcp:
            key = "dhcpOptions" if option.family == 4 else "dhcpOptions6"
            raise errors.InvalidInput(
                where,
                f"{key}.{option.code}",
                None,
                f"is not an option that network {spec.name} permits NICs to set",
                hint="its owner can permit it in the NAD: "
                f'"permits": {{"{key}": ["{option.code}"]}}',
            )
