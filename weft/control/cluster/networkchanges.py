"""Words the refusal of what a running pod asks for and cannot get without a restart.

Pure. NICs come and go while a pod runs (ADR 0119). Its first interface stays, and no NIC gets other
addresses, another MAC or other options: this module only words what the pod's author reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from weft import errors, model, names
from weft.api import selection

_WAY = "restart the pod (delete it, and let its owner create it again) or the VM"
_AGAIN = f"unplug the NIC and plug it in again under another interface name, or {_WAY}"


def refusal(
    label: str,
    attachments: Iterable[model.Attachment],
    held: Mapping[str, model.Allocation],
    interfaces: Mapping[str, str],
    *,
    primary: bool,
) -> errors.InvalidInput | None:
    """Returns the error of a request for another first interface or NIC than one `held`, or None.

    `held`: allocations by attachment key; `interfaces`: known interface names in the pod, by the
    same keys. `primary`: the pod's first interface is weft's, whichever network it is on.
    """
    requested = {attachment.key: attachment for attachment in attachments if attachment.nad}
    is_chosen = primary and names.DEFAULT_NETWORK not in held
    unknown = names.DEFAULT_INTERFACE if is_chosen else ""
    added = [key for key in sorted(set(requested) - set(held)) if _is_first(requested[key])]
    gone = sorted(set(held) - set(requested) - {names.DEFAULT_NETWORK})
    removed = [key for key in gone if interfaces.get(key, unknown) == names.DEFAULT_INTERFACE]
    changed = {
        key: fields
        for key in sorted(set(requested) & set(held))
        if (fields := _changed(requested[key], held[key]))
    }
    parts = [f"adding {key}" for key in added]
    parts += [f"removing {key}" for key in removed]
    parts += [f"changing {fields} of {key}" for key, fields in changed.items()]
    if not parts:
        return None
    is_first = bool(added or removed) or any(_is_first(requested[key]) for key in changed)
    annotations = [names.CHOSEN_DEFAULT] if is_first else []
    if any(not _is_first(requested[key]) for key in changed):
        annotations.append(names.NETWORKS)
    rule = f"was changed while the pod runs: {', '.join(parts)} is refused"
    hint = _WAY if is_first else _AGAIN
    return errors.InvalidInput(label, " and ".join(annotations), None, rule, hint=hint)


def unreadable(error: errors.InvalidInput) -> errors.InvalidInput:
    """Returns the error of a request that became invalid while its pod runs."""
    hint = f"put the annotation back, or correct it and {_WAY}"
    return errors.InvalidInput(error.where, error.field, error.value, error.rule, hint=hint)


def _is_first(attachment: model.Attachment) -> bool:
    return attachment.interface == names.DEFAULT_INTERFACE


def _changed(requested: model.Attachment, held: model.Allocation) -> str:
    """Returns the fields of a request that the pod's allocation does not match."""
    given = {address.ip for address in held.addresses}
    addresses = {selection.without_prefix(address) for address in requested.addresses}
    found = [] if addresses <= given else ["ips"]
    if requested.mac and requested.mac != held.mac:
        found.append("mac")
    known = (
        ("bandwidth", "bandwidth"),
        ("port_security", "portSecurity"),
        ("address_pairs", "allowedAddressPairs"),
        ("dhcp", "dhcpOptions"),
    )
    found += [key for name, key in known if getattr(requested.nic, name) != getattr(held.nic, name)]
    return " and ".join(found)
