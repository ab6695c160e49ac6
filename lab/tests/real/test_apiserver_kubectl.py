"""The embedded API server as a real kubectl meets it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.support import apiserver
from tests.support import kubectl as kubectls
from tests.support.kubectl import Kubectl
from weft.kube import cache, resources
from weft.kube.client import Client
from weft_lab.controllers import orphans
from weft_lab.kubelet import scheduler
from weft_lab.runtime.toolchain import Toolchain

pytestmark = pytest.mark.real

CRDS = Path(__file__).resolve().parents[3] / "lab/weft_lab/crds"
POD = """
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  containers:
  - {name: main, image: "busybox:1", ports: [{containerPort: 80}]}
"""
NAD = """
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: net}
spec: {config: '{"a": 1}'}
"""
CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, kind: Widget, shortNames: [wd], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    additionalPrinterColumns:
    - {name: Size, type: integer, jsonPath: .spec.size}
    - {name: Ready, type: string, jsonPath: '.status.conditions[?(@.type=="Ready")].status'}
    subresources: {status: {}}
    schema: &schema
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [size]
            properties:
              size: {type: integer, minimum: 1, description: How big it is.}
              mode: {type: string, default: slow}
          status: {type: object, x-kubernetes-preserve-unknown-fields: true}
  - {name: v1alpha1, served: true, storage: false, schema: *schema}
"""
WIDGET = """
apiVersion: example.com/VERSION
kind: Widget
metadata: {name: w}
spec: {size: 3}
"""
NODE = """
apiVersion: v1
kind: Node
metadata: {name: node1}
"""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[apiserver.Server]:
    async with apiserver.running(tmp_path) as found:
        yield found


@pytest.fixture(params=kubectls.NAMES)
def kubectl(
    request: pytest.FixtureRequest,
    server: apiserver.Server,
    tmp_path: Path,
    toolchain: Toolchain,
) -> Kubectl:
    return Kubectl(kubectls.program(request.param, toolchain), server.kubeconfig, tmp_path)


async def become(server: apiserver.Server, **status: Any) -> None:
    """As the kubelet says it of the pod web."""
    async with Client.from_kubeconfig(str(server.kubeconfig)) as api:
        body = {"status": status}
        await api.patch(resources.PODS, "web", "default", body, subresource="status")


async def test_apply_get_describe_delete(kubectl: Kubectl) -> None:
    assert "pod/web created" in await kubectl("apply", "-f", "-", stdin=POD)
    assert "pod/web unchanged" in await kubectl("apply", "-f", "-", stdin=POD)
    listed = await kubectl("get", "pods", "-l", "app=web", "-o", "wide")
    assert listed.split()[:6] == ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP"]
    assert "0/1" in listed
    assert "busybox:1" in await kubectl("describe", "pod", "web")
    assert '"web" deleted' in await kubectl("delete", "pod", "web")
    assert 'pods "web" not found' in await kubectl("get", "pod", "web", ok=False)


async def test_apply_changes_and_removes_fields(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=POD.replace("{app: web}", "{app: web, old: x}"))
    changed = POD.replace("busybox:1", "busybox:2").replace("{app: web}", "{app: web, new: z}")
    assert "configured" in await kubectl("apply", "-f", "-", stdin=changed)
    template = "{.metadata.labels} {.spec.containers[0].image}"
    found = await kubectl("get", "pod", "web", "-o", f"jsonpath={template}")
    assert found == '{"app":"web","new":"z"} busybox:2'


async def test_a_misspelt_field_is_refused(kubectl: Kubectl) -> None:
    found = await kubectl("apply", "-f", "-", stdin=POD.replace("image:", "imago:"), ok=False)
    assert 'unknown field "' in found
    assert "imago" in found


async def test_a_misspelt_field_of_a_change_is_refused(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=POD)
    wrong = POD.replace("spec:", "spec:\n  activeDeadlineSecond: 5")
    for how in ((), ("--server-side",)):
        output = await kubectl("apply", "-f", "-", *how, stdin=wrong, ok=False)
        assert "activeDeadlineSecond" in output
    patch = '{"spec":{"activeDeadlineSecond":5}}'
    await kubectl("patch", "pod", "web", "-p", patch)  # kubectl asks for no strictness here
    found = await kubectl("get", "pod", "web", "-o", "yaml")
    assert "activeDeadlineSecond:" not in found.partition("annotations:")[2].partition("spec:")[2]


async def test_debug_adds_a_container(kubectl: Kubectl) -> None:
    """By a way that kubectl has had since 1.22; the oldest one ends with a sentence."""
    await kubectl("apply", "-f", "-", stdin=POD)
    async with kubectl.start("debug", "web", "--image=busybox", "-c", "looks") as process:
        output = (await process.communicate())[0].decode()
    assert "panic" not in output
    form = "jsonpath={.spec.ephemeralContainers[*].name}"
    added = await kubectl("get", "pod", "web", "-o", form)
    assert (added, process.returncode) == ("looks", 0) or "error:" in output, output


async def test_labels_annotations_and_patches(kubectl: Kubectl) -> None:
    await kubectl("create", "-f", "-", stdin=POD)
    await kubectl("create", "-f", "-", stdin=NAD)
    await kubectl("label", "pod", "web", "a=1")
    await kubectl("annotate", "pod", "web", "b=2")
    await kubectl("patch", "pod", "web", "-p", '{"metadata":{"labels":{"c":"3"}}}')
    remove = '[{"op":"remove","path":"/metadata/labels/a"}]'
    await kubectl("patch", "pod", "web", "--type", "json", "-p", remove)
    await kubectl(
        "patch", "pod", "web", "--type", "merge", "-p", '{"metadata":{"labels":{"d":"4"}}}'
    )
    found = await kubectl("get", "pod", "web", "-o", "jsonpath={.metadata.labels}")
    assert found.replace(" ", "") == '{"app":"web","c":"3","d":"4"}'
    await kubectl(
        "patch", "net-attach-def", "net", "--type", "merge", "-p", '{"spec":{"config":"{}"}}'
    )
    assert await kubectl("get", "net-attach-def", "net", "-o", "jsonpath={.spec.config}") == "{}"
    await kubectl("set", "image", "pod/web", "main=busybox:3")


async def test_server_side_apply(kubectl: Kubectl) -> None:
    apply = ("apply", "--server-side", "-f", "-")
    assert "serverside-applied" in await kubectl(*apply, stdin=NAD)
    await kubectl(*apply, stdin=NAD)
    changed = NAD.replace('"a": 1', '"a": 2')
    refused = await kubectl(*apply, "--field-manager=other", stdin=changed, ok=False)
    assert 'conflict with "kubectl"' in refused
    assert ".spec.config" in refused
    await kubectl(*apply, "--field-manager=other", "--force-conflicts", stdin=changed)


async def test_explain_and_api_resources(kubectl: Kubectl) -> None:
    assert "entry point" in await kubectl("explain", "pod.spec.containers.command")
    assert "config" in await kubectl("explain", "net-attach-def.spec")
    listed = await kubectl("api-resources")
    for name in ("pods", "net-attach-def", "leases", "customresourcedefinitions"):
        assert name in listed
    assert "k8s.cni.cncf.io/v1" in await kubectl("api-versions")
    assert "v1.32" in await kubectl("version")


async def test_custom_resources(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=CRD)
    await kubectl("wait", "--for", "condition=established", "crd/widgets.example.com")
    await kubectl("apply", "-f", "-", stdin=WIDGET.replace("VERSION", "v1alpha1"))
    listed = await kubectl("get", "wd")
    assert listed.split()[:3] == ["NAME", "SIZE", "READY"]
    assert await kubectl("get", "wd.v1.example.com", "w", "-o", "jsonpath={.spec.mode}") == "slow"
    assert "example.com/v1alpha1" in await kubectl("get", "wd.v1alpha1.example.com", "-o", "yaml")
    assert "How big it is." in await kubectl("explain", "widget.spec.size")
    bad = WIDGET.replace("VERSION", "v1").replace("size: 3", "size: 0")
    refused = await kubectl("apply", "--validate=false", "-f", "-", stdin=bad, ok=False)
    assert "spec.size: Invalid value: 0" in refused
    assert "widget.example.com/w" in await kubectl("get", "all")
    await kubectl("delete", "crd", "widgets.example.com")
    await kubectl("get", "wd", ok=False)


async def test_get_watches(kubectl: Kubectl) -> None:
    await kubectl("create", "-f", "-", stdin=POD)
    async with kubectl.start("get", "pods", "--watch", "-o", "name") as watch:
        assert watch.stdout
        assert await watch.stdout.readline() == b"pod/web\n"
        await kubectl("label", "pod", "web", "x=y")
        assert await watch.stdout.readline() == b"pod/web\n"


async def test_wait_sees_a_condition(kubectl: Kubectl, server: apiserver.Server) -> None:
    await kubectl("create", "-f", "-", stdin=CRD)
    await kubectl("create", "-f", "-", stdin=WIDGET.replace("VERSION", "v1"))
    url = f"{server.url}/apis/example.com/v1/namespaces/default/widgets/w/status"
    media = {"Content-Type": "application/merge-patch+json"}
    body = b'{"status":{"conditions":[{"type":"Ready","status":"True"}]}}'
    wait = ("wait", "--for=condition=Ready", "wd/w", "--timeout=60s")
    async with kubectl.start(*wait) as waiting, aiohttp.ClientSession() as session:
        async with session.patch(url, data=body, headers=server.headers | media) as response:
            assert response.status == 200
        assert await waiting.wait() == 0
    assert "True" in await kubectl("get", "wd", "w")


async def test_logs(kubectl: Kubectl, server: apiserver.Server) -> None:
    await kubectl("create", "-f", "-", stdin=POD)
    assert "waiting to start" in await kubectl("logs", "web", ok=False)
    log = server.logs / "default_web_main.log"
    log.write_text("one\ntwo\n")
    assert await kubectl("logs", "web") == "one\ntwo\n"
    assert await kubectl("logs", "web", "--tail=1") == "two\n"
    async with kubectl.start("logs", "-f", "web") as follow:
        assert follow.stdout
        assert await follow.stdout.readline() == b"one\n"
        assert await follow.stdout.readline() == b"two\n"
        with log.open("a") as file:
            file.write("three\n")
        assert await follow.stdout.readline() == b"three\n"
        await kubectl("delete", "pod", "web")
        assert await follow.wait() == 0


async def test_the_log_of_the_run_before(kubectl: Kubectl, server: apiserver.Server) -> None:
    await kubectl("create", "-f", "-", stdin=POD)
    (server.logs / "default_web_main.log").write_text("second\n")
    before = server.logs / "default_web_main.log.previous"
    before.write_text("of an earlier pod of this name\n")
    assert "not found" in await kubectl("logs", "-p", "web", ok=False)
    restarted = {"name": "main", "restartCount": 1, "ready": True, "image": "i", "imageID": ""}
    await become(server, containerStatuses=[restarted])
    before.write_text("first\n")
    assert await kubectl("logs", "-p", "web") == "first\n"
    assert await kubectl("logs", "web") == "second\n"


@pytest.mark.parametrize(
    "words", [("exec", "web", "--", "ls"), ("attach", "web"), ("port-forward", "web", "80")]
)
async def test_a_pod_without_a_host_cannot_be_entered(
    kubectl: Kubectl, server: apiserver.Server, words: tuple[str, ...]
) -> None:
    await kubectl("create", "-f", "-", stdin=POD)
    await become(server, phase="Running")
    assert "pod web does not have a host assigned" in await kubectl(*words, ok=False)


async def test_a_pod_on_a_node_that_is_not_there_can_be_deleted(
    kubectl: Kubectl, server: apiserver.Server
) -> None:
    await kubectl("create", "-f", "-", stdin=POD.replace("spec:", "spec:\n  nodeName: node7"))
    async with Client.from_kubeconfig(str(server.kubeconfig)) as api, asyncio.TaskGroup() as group:
        pods = cache.Cache(api, resources.PODS, indexes={"node": scheduler.node_of})
        nodes = cache.Cache(api, resources.NODES)
        parts = (pods.run(), nodes.run(), orphans.Orphans(api, pods, nodes).run())
        tasks = [group.create_task(part) for part in parts]
        await kubectl("delete", "pod", "web")  # returns when it is gone
        for task in tasks:
            task.cancel()


@pytest.mark.parametrize("plural", ["multi-networkpolicies", "network-attachment-definitions"])
async def test_what_kubectl_calls_an_object_it_finds(kubectl: Kubectl, plural: str) -> None:
    definition = CRDS / f"{plural}.yaml"
    kind = yaml.safe_load(definition.read_text())["spec"]["names"]["kind"]
    version = yaml.safe_load(definition.read_text())["spec"]["versions"][0]["name"]
    await kubectl("apply", "-f", str(definition))
    await kubectl("wait", "crd", f"{plural}.k8s.cni.cncf.io", "--for=condition=Established")
    spec: dict[str, Any] = {"podSelector": {}} if kind == "MultiNetworkPolicy" else {}
    obj = {"apiVersion": f"k8s.cni.cncf.io/{version}", "kind": kind, "spec": spec}
    await kubectl("create", "-f", "-", stdin=yaml.safe_dump({**obj, "metadata": {"name": "x"}}))
    name = (await kubectl("get", plural, "-o", "name")).strip()
    assert name == f"{kind.lower()}.k8s.cni.cncf.io/x"
    assert "deleted" in await kubectl("delete", name)


async def test_the_subcommands_that_write_protobuf(kubectl: Kubectl) -> None:
    await kubectl("create", "namespace", "room")
    await kubectl("-n", "room", "create", "configmap", "c", "--from-literal=a=b")
    await kubectl("-n", "room", "create", "secret", "generic", "s", "--from-literal=a=b")
    await kubectl("-n", "room", "create", "serviceaccount", "sa")
    await kubectl("-n", "room", "create", "service", "clusterip", "svc", "--tcp=80:http")
    assert "80/TCP" in await kubectl("-n", "room", "get", "service", "svc")
    assert await kubectl("auth", "can-i", "create", "pods") == "yes\n"
    missing = await kubectl("-n", "no", "create", "configmap", "c", ok=False)
    assert 'namespaces "no" not found' in missing
    await kubectl("delete", "namespace", "room")
    assert 'namespaces "room" not found' in await kubectl("get", "ns", "room", ok=False)


async def test_nodes_are_cordoned_and_drained(kubectl: Kubectl) -> None:
    await kubectl("create", "-f", "-", stdin=NODE)
    await kubectl("create", "-f", "-", stdin=POD)
    await kubectl("taint", "node", "node1", "a=b:NoSchedule")
    await kubectl("cordon", "node1")
    assert "SchedulingDisabled" in await kubectl("get", "nodes")
    assert "a=b:NoSchedule" in await kubectl("describe", "node", "node1")
    await kubectl("drain", "node1", "--force")
    await kubectl("uncordon", "node1")


async def test_edit(kubectl: Kubectl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await kubectl("create", "-f", "-", stdin=NAD)
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i \'s/"a": 1/"a": 5/\' "$1"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("KUBE_EDITOR", str(editor))
    assert "edited" in await kubectl("edit", "net-attach-def", "net")
    assert '"a": 5' in await kubectl("get", "net-attach-def", "net", "-o", "yaml")


async def test_a_wrong_token_is_refused(kubectl: Kubectl) -> None:
    text = kubectl.kubeconfig.read_text()
    other = kubectl.home / "other"
    other.write_text(text.replace('"token": "', '"token": "x'))
    stranger = Kubectl(kubectl.program, other, kubectl.home)
    found = await stranger("get", "pods", ok=False)
    assert "nauthorized" in found or "must be logged in" in found


async def test_a_restarted_server_has_its_objects(tmp_path: Path, toolchain: Toolchain) -> None:
    program = kubectls.program("lab", toolchain)
    async with apiserver.running(tmp_path) as server:
        kubectl = Kubectl(program, server.kubeconfig, tmp_path)
        await kubectl("create", "-f", "-", stdin=CRD)
        await kubectl("create", "-f", "-", stdin=WIDGET.replace("VERSION", "v1"))
        before = await kubectl("get", "wd", "w", "-o", "jsonpath={.metadata.resourceVersion}")
    async with apiserver.running(tmp_path) as server:
        kubectl = Kubectl(program, server.kubeconfig, tmp_path)
        await kubectl("label", "wd", "w", "a=b")
        after = await kubectl("get", "wd", "w", "-o", "jsonpath={.metadata.resourceVersion}")
    assert int(after) > int(before)
