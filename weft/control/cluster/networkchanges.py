"""Words the refusal of a running pod's request for other networks than it has.

Pure. A pod is wired once: this module only words what the pod's author reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from weft import errors, model, names
from weft.api import selection

_WAY = "restart the pod (delete it, and let its owner create it again) or the VM"


def refusal(
    label: str,
    attachments: Iterable[model.Attachment],
    held: Mapping[str, model.Allocation],
    interfaces: Mapping[str, str],
    *,
    primary: bool,
) -> errors.InvalidInput | None:
    """Returns the error of a request for other networks than those `held`; None if it is the same.

    `held`: allocations by attachment key; `interfaces`: known interface names in the pod, by the
    same keys. `primary`: the pod's first interface is weft's, whichever network it is on.
    """
    requested = {attachment.key: attachment for attachment in attachments if attachment.nad}
    added = sorted(set(requested) - set(held))
    removed = sorted(set(held) - set(requested) - {names.DEFAULT_NETWORK})
    # Where elements come or go, the default names of those behind them move with their places.
    known = {} if added or removed else interfaces
    changed = {
        key: fields
        for key in sorted(set(requested) & set(held))
        if (fields := _changed(requested[key], held[key], known.get(key, "")))
    }
    parts = [f"adding {key}" for key in added]
    parts += [f"removing {key}" for key in removed]
    parts += [f"changing {fields} of {key}" for key, fields in changed.items()]
    if not parts:
        return None
    first = next((each for each in requested.values() if _is_first(each)), None)
    if first is None:
        is_first = primary and names.DEFAULT_NETWORK not in held
    else:
        is_first = first.key in added or first.key in changed
    others = {*added, *changed} - {first.key if first else ""}
    annotations = [names.CHOSEN_DEFAULT] if is_first else []
    if not is_first or others or len(removed) > 1:
        annotations.append(names.NETWORKS)
    rule = f"was changed while the pod runs: {', '.join(parts)} is refused"
    return errors.InvalidInput(label, " and ".join(annotations), None, rule, hint=_WAY)


def unreadable(error: errors.InvalidInput) -> errors.InvalidInput:
    """Returns the error of a request that became invalid while its pod runs."""
    hint = f"put the annotation back, or correct it and {_WAY}"
    return errors.InvalidInput(error.where, error.field, error.value, error.rule, hint=hint)


def _is_first(attachment: model.Attachment) -> bool:
    return attachment.interface == names.DEFAULT_INTERFACE


def _changed(requested: model.Attachment, held: model.Allocation, interface: str) -> str:
    """Returns the fields of a request that the pod's allocation or interface does not match."""
    given = {address.ip for address in held.addresses}
    addresses = {selection.without_prefix(address) for address in requested.addresses}
    found = [] if addresses <= given else ["ips"]
    if requested.mac and requested.mac != held.mac:
        found.append("mac")
    if interface and requested.interface != interface:
        found.append("interface")
    known = (
        ("bandwidth", "bandwidth"),
        ("port_security", "portSecurity"),
        ("address_pairs", "allowedAddressPairs"),
        ("dhcp", "dhcpOptions"),
    )
    found += [key for name, key in known if getattr(requested.nic, name) != getattr(held.nic, name)]
    return " and ".join(found)
