"""KubeVirt's schema in the lab's API server: what it refuses of a machine, in its words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.tests.real.test_apiserver_kubectl import server as server
from tests.support import apiserver, bad_input
from tests.support.kubectl import Kubectl
from weft_lab.runtime.toolchain import Toolchain

pytestmark = pytest.mark.real
Object = dict[str, Any]
Change = Callable[[Object, Object], object]  # of a machine's spec, and of its template's


@pytest.fixture
def kubectl(server: apiserver.Server, tmp_path: Path, toolchain: Toolchain) -> Kubectl:
    return Kubectl(toolchain.program("kubectl"), server.kubeconfig, tmp_path)


def devices(template: Object) -> Object:
    found: Object = template["domain"]["devices"]
    return found


REFUSED: list[tuple[str, Change, str]] = [
    (
        "a-slip-of-the-machine",
        lambda spec, template: spec.update(runStrategi="Always"),
        'unknown field "spec.runStrategi"',
    ),
    (
        "a-slip-far-within",
        lambda spec, template: devices(template)["interfaces"][1].update(brigde={}),
        'unknown field "spec.template.spec.domain.devices.interfaces[1].brigde"',
    ),
    (
        "a-kind-of-volume",
        lambda spec, template: template.update(volumes=[{"name": "root", "contianerDisk": {}}]),
        'unknown field "spec.template.spec.volumes[0].contianerDisk"',
    ),
    (
        "no-domain",
        lambda spec, template: template.pop("domain"),
        "spec.template.spec.domain: Required value",
    ),
    ("no-template", lambda spec, template: spec.pop("template"), "spec.template: Required value"),
    (
        "no-network-name",
        lambda spec, template: template["networks"][1].update(multus={}),
        "spec.template.spec.networks[1].multus.networkName: Required value",
    ),
    (
        "a-wrong-type",
        lambda spec, template: template["domain"].update(cpu={"cores": "two"}),
        'spec.template.spec.domain.cpu.cores: Invalid value: "string"',
    ),
    (
        "no-quantity",
        lambda spec, template: template["domain"].update(memory={"guest": "64MiB"}),
        'spec.template.spec.domain.memory.guest: Invalid value: "64MiB"',
    ),
    (
        "a-value-of-no-enumeration",
        lambda spec, template: template["domain"].update(rebootPolicy="Never"),
        'rebootPolicy: Unsupported value: "Never": supported values: "Reboot", "Terminate"',
    ),
]


async def test_what_kubevirt_refuses_is_refused(kubectl: Kubectl, server: apiserver.Server) -> None:
    for name, change, words in REFUSED:
        obj = json.dumps(bad_input.machine(name, change))
        message = await kubectl("create", "-f", "-", stdin=obj, ok=False)
        assert words in message, (name, message)
    assert "No resources found" in await kubectl("get", "vm")


async def test_what_is_unknown_is_dropped_where_nobody_asks_for_more(
    kubectl: Kubectl, server: apiserver.Server
) -> None:
    slip = bad_input.machine("slip", lambda spec, template: template.update(hostnam="x"))
    await kubectl("create", "--validate=ignore", "-f", "-", stdin=json.dumps(slip))
    kept = json.loads(await kubectl("get", "vm", "slip", "-o", "json"))
    assert "hostnam" not in kept["spec"]["template"]["spec"]
    assert (
        kept["spec"]["template"]["spec"]["networks"] == slip["spec"]["template"]["spec"]["networks"]
    )


async def test_other_kinds_of_kubevirt_are_not_there(
    kubectl: Kubectl, server: apiserver.Server
) -> None:
    preset = {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstancePreset",
        "metadata": {"name": "p"},
        "spec": {"selector": {}},
    }
    message = await kubectl("create", "-f", "-", stdin=json.dumps(preset), ok=False)
    assert 'no matches for kind "VirtualMachineInstancePreset"' in message
