"""KubeVirt's API of subresources in the lab's API server, with a socket in QEMU's place."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from lab.tests.support.apihttp import Http, connected
from tests.support import objects
from tests.support.apiserver import CRDS
from tests.support.patience import PATIENCE
from weft_lab.apiserver import machineapi, machineverbs
from weft_lab.vm import guestconsoles, launcher

pytestmark = pytest.mark.real
GROUP = f"/apis/{machineapi.GROUP}"
MINE = f"{GROUP}/v1/namespaces/default"
KUBEVIRT = "/apis/kubevirt.io/v1/namespaces/default"
RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"
ACCESS = CRDS.parent / "access/kubevirt.yaml"
NODE = "node1"
MERGE = "application/merge-patch+json"
STALL = 3.0  # seconds


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[Http]:
    handlers = str(tmp_path / "{node}.sock")
    async with connected(tmp_path, "--handlers", handlers, "--crds", str(ACCESS)) as found:
        yield found


async def made(http: Http, name: str = "m", **spec: Any) -> dict[str, Any]:
    """A machine, which no controller serves."""
    template = {"spec": objects.vmi(name)["spec"]}
    template["spec"].setdefault("domain", {}).setdefault("devices", {})
    vm = {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": {"name": name},
        "spec": {"template": template, **(spec or {"runStrategy": "Manual"})},
    }
    code, answer = await http("POST", f"{KUBEVIRT}/virtualmachines", vm)
    assert code == 201, answer
    return dict(answer)


async def started(
    http: Http, name: str = "m", phase: str = "Running", **devices: Any
) -> dict[str, Any]:
    """An instance on the node, as the controller writes it."""
    vmi = objects.vmi(name)
    vmi["spec"].setdefault("domain", {}).setdefault("devices", {}).update(devices)
    code, answer = await http("POST", f"{KUBEVIRT}/virtualmachineinstances", vmi)
    assert code == 201, answer
    status = {"status": {"phase": phase, "nodeName": NODE}}
    path = f"{KUBEVIRT}/virtualmachineinstances/{name}/status"
    code, answer = await http("PATCH", path, status, "application/merge-patch+json")
    assert code == 200, answer
    return dict(answer)


async def put(http: Http, verb: str, name: str = "m", body: Any = None) -> tuple[int, Any]:
    return await http("PUT", f"{MINE}/virtualmachines/{name}/{verb}", body)


async def vm_of(http: Http, name: str = "m") -> dict[str, Any]:
    return dict((await http("GET", f"{KUBEVIRT}/virtualmachines/{name}"))[1])


async def test_discovery_lists_the_group(http: Http) -> None:
    _, found = await http("GET", GROUP)
    assert found["kind"] == "APIGroup"
    assert found["preferredVersion"]["groupVersion"] == f"{machineapi.GROUP}/v1"
    _, found = await http("GET", f"{GROUP}/v1")
    assert found["kind"] == "APIResourceList"
    named = {one["name"]: one["verbs"] for one in found["resources"]}
    assert named["virtualmachineinstances/console"] == ["get"]
    assert named["virtualmachines/migrate"] == ["update"]
    assert machineapi.GROUP in {one["name"] for one in (await http("GET", "/apis"))[1]["groups"]}
    assert (await http("GET", f"{GROUP}/v1/version"))[1]["gitVersion"].startswith("v1.")
    assert (await http("GET", f"{GROUP}/v2"))[0] == 404


async def test_a_machine_is_started_and_stopped_in_the_field_that_it_uses(http: Http) -> None:
    await made(http, "a", runStrategy="Halted")
    await made(http, "b", running=False)
    for name in ("a", "b"):
        assert await put(http, "start", name) == (202, "")
    assert (await vm_of(http, "a"))["spec"]["runStrategy"] == "Always"
    assert (await vm_of(http, "b"))["spec"]["running"] is True
    assert (await put(http, "start", "a"))[1]["message"] == (
        'Operation cannot be fulfilled on virtualmachine.kubevirt.io "a": '
        "Always does not support manual start requests"
    )
    for name in ("a", "b"):
        assert await put(http, "stop", name) == (202, "")
    assert (await vm_of(http, "a"))["spec"]["runStrategy"] == "Halted"
    assert (await vm_of(http, "b"))["spec"]["running"] is False


async def test_requests_wait_in_the_status(http: Http) -> None:
    await made(http)
    code, answer = await put(http, "stop")
    assert (code, answer["reason"]) == (409, "Conflict")
    assert answer["message"].endswith('virtualmachine.kubevirt.io "m": VM is not running')
    uid = (await started(http))["metadata"]["uid"]
    assert (await put(http, "start"))[1]["message"].endswith("VM is already running")
    assert (await put(http, "restart", body={"dryRun": ["All"]}))[0] == 202
    assert "status" not in await vm_of(http)
    assert (await put(http, "restart"))[0] == 202
    stop = {"action": "Stop", "uid": uid}
    found = (await vm_of(http))["status"]["stateChangeRequests"]
    assert found == [stop, {"action": "Start"}]
    code, answer = await put(http, "restart")
    assert (code, answer["message"]) == (
        500,
        "Internal error occurred: unable to complete request: stop/start already underway",
    )
    assert (await put(http, "stop", body={"gracePeriod": 3}))[0] == 202
    assert (await vm_of(http))["status"]["stateChangeRequests"] == [stop]
    _, vmi = await http("GET", f"{KUBEVIRT}/virtualmachineinstances/m")
    assert vmi["spec"]["terminationGracePeriodSeconds"] == 3


async def test_options_are_judged(http: Http) -> None:
    await made(http)
    for verb, body in (
        ("stop", {"gracePeriod": "soon"}),
        ("restart", {"gracePeriodSeconds": 5}),
        ("start", {"paused": 1}),
        ("migrate", {"dryRun": "All"}),
        ("stop", []),
    ):
        assert (await put(http, verb, body=body))[0] == 400, (verb, body)
    assert (await put(http, "start", "other"))[1]["message"] == (
        'virtualmachine.kubevirt.io "other" not found'
    )
    assert (await http("GET", f"{MINE}/virtualmachines/m/start"))[0] == 405
    assert (await put(http, "sing"))[0] == 404


async def test_a_migration_is_made_once(http: Http) -> None:
    await made(http)
    assert (await put(http, "migrate"))[0] == 404
    await started(http)
    selector = {"kubernetes.io/hostname": "node2"}
    assert (await put(http, "migrate", body={"addedNodeSelector": selector}))[0] == 202
    _, found = await http("GET", f"{KUBEVIRT}/virtualmachineinstancemigrations")
    (one,) = found["items"]
    assert one["spec"] == {"vmiName": "m", "addedNodeSelector": selector}
    code, answer = await put(http, "migrate")
    assert code == 500
    assert "in-flight migration detected" in answer["message"]
    # By hand it is refused in the same words, and the first cannot be led elsewhere.
    again = {"metadata": {"name": "again"}, "spec": {"vmiName": "m"}}
    migrations = f"{KUBEVIRT}/virtualmachineinstancemigrations"
    code, refused = await http("POST", migrations, again)
    assert code == 400
    assert answer["message"].endswith(refused["message"])
    assert f"({one['metadata']['uid']}) is currently already in progress" in refused["message"]
    mine = f"{migrations}/{one['metadata']['name']}"
    for spec in ({"addedNodeSelector": {"a": "b"}}, {"addedNodeSelector": None}, {"vmiName": "o"}):
        code, answer = await http("PATCH", mine, {"spec": spec}, "application/merge-patch+json")
        assert (code, answer["reason"]) == (422, "Invalid"), spec
        assert "update of Migration object's spec is restricted" in answer["message"]
    other = {"metadata": {"name": "other"}, "spec": {"vmiName": "other"}}
    code, answer = await http("POST", migrations, other)
    assert (code, 'the VMI "default/other" does not exist' in answer["message"]) == (400, True)


async def test_an_evacuation_is_cancelled_and_what_is_not_served_says_so(http: Http) -> None:
    await made(http)
    cancel = f"{MINE}/virtualmachines/m/{machineverbs.EVACUATION}"
    assert "VMI is not started" in (await http("PUT", cancel))[1]["message"]
    await started(http)
    path = f"{KUBEVIRT}/virtualmachineinstances/m"
    for plural in ("virtualmachines", "virtualmachineinstances"):
        cancel = f"{MINE}/{plural}/m/{machineverbs.EVACUATION}"
        assert await http("PUT", cancel) == (200, "")  # there is none
        status = {"status": {"evacuationNodeName": NODE}}
        assert (await http("PATCH", f"{path}/status", status, MERGE))[0] == 200
        code, answer = await http("PUT", cancel, {"evacuationNodeName": "other"})
        assert (code, f"it is {NODE}, not other" in answer["message"]) == (500, True)
        assert await http("PUT", cancel, {"dryRun": ["All"]}) == (200, "")
        assert (await http("GET", path))[1]["status"]["evacuationNodeName"] == NODE
        assert await http("PUT", cancel, {}) == (200, "")
        assert "evacuationNodeName" not in (await http("GET", path))[1]["status"]
    for verb in ("addvolume", "removevolume"):
        for plural in ("virtualmachines", "virtualmachineinstances"):
            code, answer = await http("PUT", f"{MINE}/{plural}/m/{verb}", {"name": "disk"})
            assert (code, answer["reason"]) == (501, "NotImplemented")
            assert answer["message"] == f"the lab does not serve {plural}/{verb}"
    code, answer = await http("GET", f"{MINE}/virtualmachineinstances/m/portforward/22/tcp")
    assert (code, answer["reason"]) == (501, "NotImplemented")


@dataclass
class Machine:
    """What serves a console instead of QEMU: sends what it reads back, or what a test queues."""

    served: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]]


@contextlib.asynccontextmanager
async def handled(tmp_path: Path, uid: str, kind: str = "console") -> AsyncIterator[Machine]:
    """A virt-handler of the node, with the folder of one machine."""
    machine = Machine(asyncio.Queue())
    folder = launcher.folder("default", "m", tmp_path / "vm")
    folder.mkdir(parents=True)
    facts = {"uid": uid, "macs": {}, "migration": "", "copied": []}
    (folder / "vm.json").write_text(json.dumps(facts))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await machine.served.put((reader, writer))

    consoles = guestconsoles.Consoles(tmp_path / "vm")
    path = tmp_path / f"{NODE}.sock"
    qemu = await asyncio.start_unix_server(serve, folder / guestconsoles.SOCKETS[kind])
    running = asyncio.create_task(consoles.run(path))
    try:
        async with qemu, asyncio.timeout(PATIENCE):
            while not path.exists():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            yield machine
    finally:
        running.cancel()
        await asyncio.wait([running])


def connect(http: Http, kind: str = "console", **options: Any) -> Any:
    path = f"{MINE}/virtualmachineinstances/m/{kind}"
    url = http.server.url + path
    return http.session.ws_connect(url, protocols=[machineapi.PROTOCOL], **options)


async def with_node(http: Http, **devices: Any) -> str:
    await http("POST", "/api/v1/nodes", {"metadata": {"name": NODE}})
    uid: str = (await started(http, **devices))["metadata"]["uid"]
    return uid


async def test_a_console_carries_bytes_both_ways(http: Http, tmp_path: Path) -> None:
    uid = await with_node(http)
    async with handled(tmp_path, uid) as machine, connect(http) as socket:
        assert socket.protocol == machineapi.PROTOCOL
        reader, writer = await machine.served.get()
        writer.write(b"\x00login: \xff")
        assert await socket.receive_bytes() == b"\x00login: \xff"
        await socket.send_bytes(b"root\n")
        await socket.send_str("a word\n")
        assert await reader.readexactly(12) == b"root\na word\n"
        writer.close()  # the machine has ended
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE


async def test_a_second_client_takes_the_console_over(http: Http, tmp_path: Path) -> None:
    uid = await with_node(http)
    async with handled(tmp_path, uid) as machine, connect(http) as first:
        reader, _ = await machine.served.get()
        async with connect(http) as second:
            _, writer = await machine.served.get()
            assert await reader.read() == b""
            assert (await first.receive()).type is aiohttp.WSMsgType.CLOSE
            writer.write(b"yours")
            assert await second.receive_bytes() == b"yours"


async def test_a_screen_may_be_left_to_who_has_it(http: Http, tmp_path: Path) -> None:
    uid = await with_node(http)
    async with handled(tmp_path, uid, "vnc") as machine, connect(http, "vnc") as first:
        _, writer = await machine.served.get()
        path = f"{MINE}/virtualmachineinstances/m/vnc?preserveSession=true"
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.session.ws_connect(http.server.url + path)
        assert refused.value.status == 503
        writer.write(b"RFB 003.008\n")
        assert await first.receive_bytes() == b"RFB 003.008\n"


async def until_stalled(send: Callable[[bytes], Awaitable[None]]) -> int:
    """Send until the other end takes no more for a while; how many bytes it took."""
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < 64 << 20:
            async with asyncio.timeout(STALL):
                await send(bytes(1 << 16))
            sent += 1 << 16
    return sent


async def test_who_reads_slowly_slows_the_machine_down(http: Http, tmp_path: Path) -> None:
    uid = await with_node(http)
    async with handled(tmp_path, uid) as machine, connect(http) as socket:
        _, writer = await machine.served.get()

        async def write(piece: bytes) -> None:
            writer.write(piece)
            await writer.drain()

        sent = await until_stalled(write)
        assert sent < 16 << 20  # what the sockets and buffers on the way hold
        while sent > 0:
            sent -= len(await socket.receive_bytes())


async def test_what_a_machine_does_not_read_is_not_held(http: Http, tmp_path: Path) -> None:
    uid = await with_node(http)
    async with handled(tmp_path, uid) as machine, connect(http) as socket:
        reader, _ = await machine.served.get()
        sent = await until_stalled(socket.send_bytes)
        assert sent < 32 << 20
        assert socket._response.connection is not None
        transport = socket._response.connection.transport
        assert transport is not None
        transport.abort()  # gone, with all that waits
        while await reader.read(1 << 20):
            pass


async def test_a_frame_that_is_too_long_ends_the_connection(http: Http, tmp_path: Path) -> None:
    uid = await with_node(http)
    async with handled(tmp_path, uid) as machine, connect(http) as socket:
        reader, _ = await machine.served.get()
        with contextlib.suppress(ConnectionError):
            await socket.send_bytes(bytes(2 << 20))
        assert (await socket.receive()).type in (
            aiohttp.WSMsgType.CLOSE,
            aiohttp.WSMsgType.CLOSED,
            aiohttp.WSMsgType.ERROR,
        )
        assert await reader.read() == b""


async def test_a_node_has_so_many_consoles_and_no_more(
    http: Http, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid = await with_node(http)
    monkeypatch.setattr(guestconsoles, "MOST", 1)
    async with handled(tmp_path, uid) as machine, connect(http) as first:
        _, writer = await machine.served.get()
        code, message = await refusal(http)
        assert code == 500
        assert "1 consoles are open already" in message
        writer.write(b"still here")
        assert await first.receive_bytes() == b"still here"


async def test_another_instance_of_the_name_is_not_taken_for_it(http: Http, tmp_path: Path) -> None:
    await with_node(http)
    async with handled(tmp_path, "of-another"):
        code, message = await refusal(http)
        assert code == 500
        assert "VirtualMachineInstance default/m: does not run here" in message


async def refusal(http: Http, kind: str = "console") -> tuple[int, str]:
    """Code and message with which a connection is refused."""
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version": "13",
    }
    url = http.server.url + f"{MINE}/virtualmachineinstances/m/{kind}"
    async with http.session.get(url, headers=headers) as answer:
        return answer.status, orjson.loads(await answer.read())["message"]


async def test_a_console_that_is_not_there_is_refused_in_kubevirts_words(http: Http) -> None:
    assert await refusal(http) == (404, 'virtualmachineinstance.kubevirt.io "m" not found')
    await started(http, phase="Scheduled", autoattachGraphicsDevice=False)
    assert await refusal(http, "vnc") == (400, "No graphics devices are present.")
    assert await refusal(http) == (400, "VMI is not running")
    path = f"{KUBEVIRT}/virtualmachineinstances/m"
    for phase, code, words in (
        ("Failed", 409, "VMI is in failed status"),
        ("Running", 500, f'dialing virt-handler: nodes "{NODE}" not found'),
    ):
        body = {"status": {"phase": phase}}
        await http("PATCH", f"{path}/status", body, "application/merge-patch+json")
        found = await refusal(http)
        assert found[0] == code
        assert found[1].endswith(words)
    assert (await http("GET", f"{MINE}/virtualmachineinstances/m/console"))[0] == 400
    await http("POST", "/api/v1/nodes", {"metadata": {"name": NODE}})
    assert "error dialing backend: node node1: " in (await refusal(http))[1]


async def test_roles_for_people_have_kubevirts_rights(http: Http, tmp_path: Path) -> None:
    uid = await with_node(http)
    await made(http)
    tokens = {}
    roles = {"view": "view", "edit": "edit", "move": "kubevirt.io:migrate"}  # admin as edit
    for role, rights in roles.items():
        accounts = "/api/v1/namespaces/default/serviceaccounts"
        await http("POST", accounts, {"metadata": {"name": role}})
        binding = {
            "metadata": {"name": role},
            "roleRef": {"kind": "ClusterRole", "name": rights},
            "subjects": [{"kind": "ServiceAccount", "name": role}],
        }
        assert (await http("POST", f"{RBAC}/rolebindings", binding))[0] == 201
        _, answer = await http("POST", f"{accounts}/{role}/token", {})
        tokens[role] = {"Authorization": f"Bearer {answer['status']['token']}"}
    path = http.server.url + MINE
    for kind in ("console", "vnc"):
        url = f"{path}/virtualmachineinstances/m/{kind}"
        async with http.session.get(url, headers=tokens["view"]) as answer:
            assert answer.status == 403
            assert orjson.loads(await answer.read())["message"] == (
                'virtualmachineinstances.subresources.kubevirt.io "m" is forbidden: User '
                '"system:serviceaccount:default:view" cannot get resource '
                f'"virtualmachineinstances/{kind}" in API group "subresources.kubevirt.io" in the '
                'namespace "default"'
            )
    url = f"{path}/virtualmachines/m/restart"
    async with http.session.put(url, headers=tokens["view"]) as answer:
        assert answer.status == 403
    async with http.session.put(url, headers=tokens["edit"]) as answer:
        assert answer.status == 202
    url = f"{path}/virtualmachines/m/migrate"
    for role, expected in (("edit", 403), ("move", 202)):
        async with http.session.put(url, headers=tokens[role]) as answer:
            assert answer.status == expected, role
    async with handled(tmp_path, uid) as machine, connect(http, headers=tokens["edit"]):
        await machine.served.get()
