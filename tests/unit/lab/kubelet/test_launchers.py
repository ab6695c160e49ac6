"""What a virt-launcher's container is given, and what it is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from weft import errors
from weft_lab.kubelet import isolation, launchers
from weft_lab.vm import disks

POD = {"metadata": {"namespace": "shop", "name": "p"}}
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
