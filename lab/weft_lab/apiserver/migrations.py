"""Judges migrations of virtual machines that are made or edited, as KubeVirt's webhooks do. Pure.

What changes after that, or at the same time on another way, is the controller's to fail
(vm/migration.py).
"""

from __future__ import annotations

from collections.abc import Iterable

from weft_lab.apiserver import machineverbs, status
from weft_lab.apiserver.resources import Object

COLLECTION = f"{machineverbs.MIGRATIONS}.{machineverbs.GROUP}"
_CREATE, _UPDATE = (
    "migration-create-validator.kubevirt.io",
    "migration-update-validator.kubevirt.io",
)
_VMI_NAME = "kubevirt.io/vmi-name"  # label
_FINAL = ("Succeeded", "Failed")
_BETWEEN_CLUSTERS = ("sendTo", "receive")
_NO_FEATURE = "DecentralizedLiveMigration feature gate is not enabled in kubevirt resource"


def check(migration: Object, vmi: Object | None, others: Iterable[Object]) -> None:
    """`vmi` is the instance that it names, `others` are the migrations of its namespace.

    Raises what KubeVirt answers where the instance cannot move now.
    """
    spec, namespace = migration.get("spec") or {}, migration["metadata"].get("namespace", "")
    name = spec.get("vmiName")
    if not name:
        raise _denied("vmiName is missing", 422, "Invalid")
    if any(spec.get(field) for field in _BETWEEN_CLUSTERS):
        raise _denied(_NO_FEATURE)
    if vmi is None:
        raise _denied(f'the VMI "{namespace}/{name}" does not exist')
    found = vmi.get("status") or {}
    if found.get("phase") in _FINAL:
        raise _denied("Cannot migrate VMI in finalized state.")
    for each in found.get("conditions") or ():
        if each.get("type") == "LiveMigratable" and each.get("status") == "False":
            why = f"Reason: {each.get('reason')}, Message: {each.get('message')}"
            raise _denied(f"Cannot migrate VMI, {why}")
    for each in others:
        is_over = (each.get("status") or {}).get("phase") in _FINAL
        if (each.get("spec") or {}).get("vmiName") == name and not is_over:
            raise _denied(
                f"in-flight migration detected. Active migration job ({each['metadata']['uid']})"
                f" is currently already in progress for VMI {name}."
            )


def check_edit(new: Object, old: Object) -> None:
    """That one which is under way is found by its instance. Its schema refuses another `spec`.

    KubeVirt writes the label when a migration is made, and the lab's controller soon after that:
    over any that was there.
    """
    before = (old["metadata"].get("labels") or {}).get(_VMI_NAME)
    after = (new["metadata"].get("labels") or {}).get(_VMI_NAME)
    is_over = (new.get("status") or {}).get("phase") in _FINAL
    true = str((new.get("spec") or {}).get("vmiName"))[:63].rstrip("-.")
    if before is None or after in (before, true) or is_over:
        return
    what = "removed from" if after is None else "modified on"
    text = f"selector label can't be {what} an in-flight migration"
    raise _denied(text, 422, "Invalid", webhook=_UPDATE)


def _denied(
    text: str, code: int = 400, reason: str = "", *, webhook: str = _CREATE
) -> status.ApiError:
    what = f'admission webhook "{webhook}" denied the request: {text}'
    return status.ApiError(code, reason, what)
