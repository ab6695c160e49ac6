"""Which migrations may be made, in KubeVirt's words."""

from __future__ import annotations

from typing import Any

import pytest

from weft_lab.apiserver import migrations, status
from weft_lab.apiserver.resources import Object

DENIED = 'admission webhook "migration-create-validator.kubevirt.io" denied the request: '
FIXED = {
    "phase": "Running",
    "conditions": [{"type": "LiveMigratable", "status": "False", "reason": "R", "message": "why"}],
}


def migration(name: str = "new", phase: str = "", **spec: Any) -> Object:
    meta = {"namespace": "ns", "name": name, "uid": f"uid-{name}"}
    return {"metadata": meta, "spec": {"vmiName": "m", **spec}, "status": {"phase": phase}}


def refused(made: Object, vmi: Object | None, *others: Object) -> status.ApiError:
    with pytest.raises(status.ApiError) as caught:
        migrations.check(made, vmi, others)
    assert str(caught.value).startswith(DENIED)
    return caught.value


def test_the_instance_is_there_and_can_move() -> None:
    for vmi, why in (
        (None, 'the VMI "ns/m" does not exist'),
        ({"status": {"phase": "Failed"}}, "Cannot migrate VMI in finalized state."),
        ({"status": {"phase": "Succeeded"}}, "Cannot migrate VMI in finalized state."),
        ({"status": FIXED}, "Cannot migrate VMI, Reason: R, Message: why"),
    ):
        error = refused(migration(), vmi)
        assert str(error).removeprefix(DENIED) == why
        assert (error.code, error.reason) == (400, "")


def test_a_migration_names_an_instance_of_its_cluster() -> None:
    error = refused(migration(vmiName=""), None)
    assert (str(error).removeprefix(DENIED), error.code) == ("vmiName is missing", 422)
    for field in ("sendTo", "receive"):
        made = migration()
        made["spec"][field] = {"migrationID": "x"}
        error = refused(made, {"status": {}})
        assert "DecentralizedLiveMigration feature gate is not enabled" in str(error)


def test_one_is_under_way_at_a_time() -> None:
    running = {"status": {"phase": "Running"}}
    over = (migration("a", "Succeeded"), migration("b", "Failed"))
    other = migration("c", "Running", vmiName="other")
    migrations.check(migration(), running, (*over, other))
    assert str(refused(migration(), running, *over, migration("d", "Running"))) == (
        f"{DENIED}in-flight migration detected. Active migration job (uid-d) is currently already"
        " in progress for VMI m."
    )
    refused(migration(), running, migration("e"))  # it has no phase yet


def test_an_instance_that_starts_may_move_later() -> None:
    migrations.check(migration(), {"status": {"phase": "Scheduled"}}, ())
    migrations.check(migration(), {}, ())


def test_the_label_by_which_a_migration_is_found_stays_until_its_end() -> None:
    old, new = migration(phase="Running"), migration(phase="Running")
    old["metadata"]["labels"] = {"kubevirt.io/vmi-name": "m"}
    for labels, what in ((None, "removed from"), ({"kubevirt.io/vmi-name": "o"}, "modified on")):
        new["metadata"]["labels"] = labels
        with pytest.raises(status.ApiError, match=f"can't be {what} an in-flight") as caught:
            migrations.check_edit(new, old)
        assert caught.value.code == 422
        migrations.check_edit({**new, "status": {"phase": "Failed"}}, old)
    migrations.check_edit(old, migration())  # it is new there
    migrations.check_edit(old, old)


def test_a_label_that_names_another_instance_is_put_right() -> None:
    """Who makes a migration may write any label, and the controller goes on with the true one."""
    long = "m" * 62 + "-" + "m" * 20
    for name, label in (("m", "m"), (long, "m" * 62)):
        old, new = migration(vmiName=name), migration(vmiName=name)
        old["metadata"]["labels"] = {"kubevirt.io/vmi-name": "other"}
        new["metadata"]["labels"] = {"kubevirt.io/vmi-name": label}
        migrations.check_edit(new, old)
        with pytest.raises(status.ApiError, match="can't be modified on an in-flight"):
            migrations.check_edit(old, new)
