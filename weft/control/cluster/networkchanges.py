"""Words the refusal of a running pod's request for other networks than it has.

Pure. A pod is wired once: nothing here decides what it gets, only what its author reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from weft import errors, model, names
from weft.api import selection

_WAY = "restart the pod (delete it, and let its owner create it again) or the VM"


def refusal(
    label: str,
    asked: Iterable[model.Attachment],
    held: Mapping[str, model.Allocation],
    interfaces: Mapping[str, str],
    *,
    primary: bool,
) -> errors.InvalidInput | None:
    """What is said of a request for other networks than those `held`, by attachment key.

    `interfaces`: what is known of their names in the pod, by key, too.
    `primary`: the pod's first interface is weft's, whichever network it is on.
    """
    requested = {attachment.key: attachment for attachment in asked if attachment.nad}
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
    """What is said of a request that became nonsense while its pod runs."""
    hint = f"put the annotation back, or correct it and {_WAY}"
    return errors.InvalidInput(error.where, error.field, error.value, error.rule, hint=hint)


def _is_first(attachment: model.Attachment) -> bool:
    return attachment.interface == names.DEFAULT_INTERFACE


def _changed(asked: model.Attachment, held: model.Allocation, interface: str) -> str:
    """The fields of a request that the pod's allocation, or its interface, does not meet."""
    given = {address.ip for address in held.addresses}
    addresses = {selection.without_prefix(address) for address in asked.addresses}
    found = [] if addresses <= given else ["ips"]
    if asked.mac and asked.mac != held.mac:
        found.append("mac")
    if interface and asked.interface != interface:
        found.append("interface")
    return " and ".join(found)
