"""A machine that starts needs no restart: the controller compares what it wrote itself."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.memory_api import MemoryApi
from tests.support.objects import named, nic, vmi
from tests.support.patience import PATIENCE
from weft.kube.client import Object
from weft.kube.resources import VMIS, VMS
from weft_lab.vm import controller

WEB = "default/web"


@pytest.mark.parametrize("devices", [{}, {"autoattachGraphicsDevice": True}])
async def test_only_what_somebody_changes_needs_a_restart(devices: dict[str, Any]) -> None:
    api = MemoryApi()
    spec = vmi("web", nic("lan", "blue"), devices=devices)["spec"]
    api.put(VMS, {**named(VMS, "web", uid="u1", generation=1), "spec": _running(spec)})

    async def shows(*expected: Any) -> None:
        async with asyncio.timeout(PATIENCE):
            while _shown(api.of(VMS, WEB)) != expected:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    running = asyncio.create_task(controller.run(api))
    try:
        await shows(1, True, False)
        graphics = api.of(VMIS, WEB)["spec"]["domain"]["devices"]["autoattachGraphicsDevice"]
        assert graphics is bool(devices)
        api.change(VMS, WEB, {"metadata": {"generation": 2}, "spec": _running({"hostname": "x"})})
        await shows(2, True, True)
        back = _running({"hostname": None})
        api.change(VMS, WEB, {"metadata": {"generation": 3}, "spec": back})
        await shows(3, True, False)
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert (1, True, True) not in [_shown(vm) for _, kind, _, vm in api.history if kind == VMS.kind]


def _running(spec: Object) -> Object:
    return {"runStrategy": "Always", "template": {"spec": spec}}


def _shown(vm: Object) -> tuple[Any, bool, bool]:
    """The generation that the controller saw, whether the instance is there, and the condition."""
    status = vm.get("status") or {}
    kinds = {each["type"] for each in status.get("conditions") or ()}
    return status.get("observedGeneration"), bool(status.get("created")), "RestartRequired" in kinds
