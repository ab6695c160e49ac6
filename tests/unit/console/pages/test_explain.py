"""The form of explain: which ends it offers."""

from __future__ import annotations

from typing import Any

from tests.support import consoled
from tests.unit.observe.test_machines import instance, launcher, vm
from tests.unit.observe.test_members import entry, nad, pod
from weft.console.pages import explain
from weft.kube import resources


def test_machines_and_pods_with_networks_are_offered() -> None:
    objects: dict[Any, list[Any]] = {
        resources.NADS: [nad("blue", "blue")],
        resources.VMIS: [instance(vm())],
        resources.PODS: [
            launcher("db"),
            pod("a", "blue", {"default/blue": entry(1, "10.9.0.1/24")}),
            {"metadata": {"namespace": "default", "name": "plain"}},
        ],
    }
    found = explain.view(consoled.read(objects), consoled.asked({"a": " x "}))
    assert found.ends == ("pod/default/a", "vm/default/db")
    assert found.networks == ("blue",)
    assert (found.source, found.is_asked) == ("x", False)
