"""What a virt-launcher's container is given, and what it is not."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from weft import errors
from weft_lab.kubelet import isolation, launchers
from weft_lab.vm import disks, launcherpod, ready

POD = {"metadata": {"namespace": "shop", "name": "p"}}
NO_MORE: dict[str, Any] = {"capabilities": ()}
VMI = {"metadata": {"namespace": "shop", "name": "vm"}, "spec": {"domain": {}}}


def test_the_machine_that_a_pod_brings() -> None:
    assert launchers.instance(POD, json.dumps(VMI)) == VMI


@pytest.mark.parametrize(
    "vmi",
    [
        [],
        {},
        {"metadata": "x"},
        {"metadata": {"name": "vm"}},
        {**VMI, "metadata": {"namespace": "other", "name": "vm"}},
        {**VMI, "metadata": {"namespace": "shop", "name": "../vm"}},
        {**VMI, "metadata": {"namespace": "shop", "name": {"a": 1}}},
        {**VMI, "spec": {}},
        {**VMI, "spec": {"domain": {}, "volumes": [{"name": "a/b", "emptyDisk": {}}]}},
    ],
)
def test_what_is_no_machine_of_the_pods_namespace_is_refused(vmi: Any) -> None:
    with pytest.raises(errors.InvalidInput):
        launchers.instance(POD, json.dumps(vmi))
    with pytest.raises(errors.InvalidInput):
        launchers.instance(POD, "{")


@pytest.mark.skipif(
    isolation.extent(Path("/proc/self/uid_map").read_text())[0] == 0,
    reason="who has one user runs its pods as that",
)
def test_programs_that_only_their_owner_may_read_are_named(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.touch(mode=0o600)
    with pytest.raises(errors.Unavailable) as refused:
        launchers._check_readable([str(program)])
    assert (refused.value.where, refused.value.hint) == (str(program), f"chmod -R a+rX {program}")
    program.chmod(0o604)
    launchers._check_readable([str(program)])


def test_its_environment_has_what_it_needs_of_its_kubelets() -> None:
    base = {"PATH": "/p", "WEFT_ACCEL": "tcg", "HOME": "/home/me", "SECRET": "s", "KUBECONFIG": "k"}
    found = launchers.variables(base)
    assert found["WEFT_ACCEL"] == "tcg"
    assert found["PATH"].endswith(":/p")
    assert not {"SECRET", "KUBECONFIG"} & found.keys()
    assert found["HOME"] == "/root"


def test_no_folder_no_disk() -> None:
    with pytest.raises(errors.InvalidInput, match="outside the folders") as refused:
        disks.locate("d", "/etc/shadow", launchers.Launchers((), {}).folders)
    assert "--disks" in refused.value.hint


def known(uid: str, name: str = "vm") -> dict[str, Any]:
    return {"metadata": {"namespace": "shop", "name": name, "uid": uid}, "spec": VMI["spec"]}


def brings(uid: str, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A pod of a name, and the instance of a uid that it says it runs."""
    return owned(uid, name), known(uid)


def owned(uid: str, name: str, node: str = "node1") -> dict[str, Any]:
    reference = {"kind": "VirtualMachineInstance", "uid": uid, "controller": True}
    meta = {"namespace": "shop", "name": name, "uid": "p1", "ownerReferences": [reference]}
    return {"metadata": meta, "spec": {"nodeName": node}}


def moved(phase: str, uid: str = "m1", of: str = "vm", pod: str = "p1") -> dict[str, Any]:
    meta = {"namespace": "shop", "name": "move", "uid": uid}
    conditions = [{"type": "lab.weft/TargetPod", "status": "True", "message": pod}]
    return {
        "metadata": meta,
        "spec": {"vmiName": of},
        "status": {"phase": phase, "conditions": conditions},
    }


def on(node: str, **state: Any) -> dict[str, Any]:
    return {**known("u1"), "status": {"nodeName": node, "migrationState": state}}


TARGET = launcherpod.target_name(known("u1"), moved(""))
AFTER = {
    "migrationUid": "m1",
    "sourceNode": "node1",
    "sourcePod": launcherpod.name(known("u1")),
    "targetNode": "node2",
    "targetPod": TARGET,
}
DONE = {**AFTER, "completed": True, "endTimestamp": "2026-01-01T00:00:00Z"}


def test_a_pod_that_the_machine_has_left_is_led_to_nothing() -> None:
    """Its name can be had again by anybody who may create pods."""
    own, vmi = launcherpod.name(known("u1")), known("u1")
    for node in ("node1", "node2"):
        assert not launchers.is_of(owned("u1", own, node), vmi, on("node2", **DONE))
    assert launchers.is_of(owned("u1", TARGET, "node2"), vmi, on("node2", **DONE))
    back = {**DONE, "failed": True}
    assert launchers.is_of(owned("u1", own), vmi, on("node1", **back))


@pytest.mark.parametrize("phase", ["", "Pending", "Scheduling", "PreparingTarget", "Running"])
def test_a_machine_that_moves_is_led_to_its_target(phase: str) -> None:
    vmi, pod = known("u1"), owned("u1", TARGET, "node2")
    assert launchers.is_of(pod, vmi, on("node1"), moved(phase))
    assert launchers.is_of(pod, vmi, on("node1", **AFTER), moved(phase))


def test_no_other_migration_gives_a_pod_the_machines_place() -> None:
    vmi, pod = known("u1"), owned("u1", TARGET, "node2")
    for phase in ("Succeeded", "Failed"):
        assert not launchers.is_of(pod, vmi, on("node1"), moved(phase))
    assert not launchers.is_of(pod, vmi, on("node1"), moved("Running", of="other"))
    assert not launchers.is_of(pod, vmi, on("node1"), moved("Running", "m2"))
    second = owned("u1", launcherpod.target_name(vmi, moved("", "m2")), "node2")
    assert not launchers.is_of(second, vmi, on("node1", **AFTER), moved("Pending", "m2"))
    for other in ("p2", ""):
        forged = moved("Running", pod=other)
        assert not launchers.is_of(pod, vmi, on("node1"), forged), "the controller made another"
    here = owned("u1", TARGET, "node1")
    assert not launchers.is_of(here, vmi, on("node1"), moved("Running")), "its guest runs there"


def test_a_pod_that_no_machine_owns_is_led_to_none() -> None:
    pod, vmi = brings("u1", launcherpod.name(known("u1")))
    for wrong in ({"uid": "u2"}, {"controller": False}):
        reference = {**pod["metadata"]["ownerReferences"][0], **wrong}
        other = {**pod, "metadata": {**pod["metadata"], "ownerReferences": [reference]}}
        assert not launchers.is_of(other, vmi, known("u1"))


def test_a_machine_is_led_to_the_pod_that_runs_it_and_to_no_other() -> None:
    own = launcherpod.name(known("u1"))
    assert launchers.is_of(*brings("u1", own), known("u1"))
    for uid, name, there in (
        ("u1", "thief", known("u1")),  # a copy of all that the launcher's pod was given
        ("u2", own, known("u1")),
        ("u1", own, known("u2")),  # made anew meanwhile
        ("u1", own, None),
    ):
        assert not launchers.is_of(*brings(uid, name), there)
    pod, vmi = brings("u1", own)
    del vmi["metadata"]["uid"]
    assert not launchers.is_of(pod, vmi, known("u1"))


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder to the users of a pod")
@pytest.mark.parametrize("name", ["thief", launcherpod.name(known("u1"))])
async def test_a_pod_that_says_it_is_a_machines_does_not_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(launchers, "programs", lambda found: [])
    monkeypatch.setattr(ready, "render", lambda found: "")
    monkeypatch.setattr(launchers, "_check_readable", lambda paths: None)

    async def there(kind: object, namespace: str, name: str) -> dict[str, Any]:
        return known("u1")

    async def nothing() -> MagicMock:
        return MagicMock()

    own = launchers.Launchers((), {}, there)
    monkeypatch.setattr(own, "_prepared", nothing)
    for pod in (launcherpod.name(known("u1")), name):
        box = tmp_path / "pods" / pod
        box.mkdir(parents=True, exist_ok=True)
        request = {
            "env": {"WEFT_VMI": json.dumps(known("u1"))},
            "root": str(box / "root"),
            **NO_MORE,
        }
        made = await own.completed(owned("u1", pod), {"name": "c"}, request)
        (bind,) = made["binds"]
        assert bind[0] == str(box / "vm")
        assert (box / "vm").is_dir()
        link = Path(bind[1])
        assert os.readlink(link) == f"../pods/{launcherpod.name(known('u1'))}/vm"
