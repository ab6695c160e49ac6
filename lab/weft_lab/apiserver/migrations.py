"""Judges new migrations of virtual machines, as KubeVirt's webhook does. Pure.

What changes after that, or at the same time on another way, is the controller's to fail
(vm/migration.py).
"""

from __future__ import annotations

from collections.abc import Iterable

from weft_lab.apiserver import machineverbs, status
from weft_lab.apiserver.resources import Object

COLLECTION = f"{machineverbs.MIGRATIONS}.{machineverbs.GROUP}"
_WEBHOOK = "migration-create-validator.kubevirt.io"
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


def _denied(text: str, code: int = 400, reason: str = "") -> status.ApiError:
    what = f'admission webhook "{_WEBHOOK}" denied the request: {text}'
    return status.ApiError(code, reason, what)
