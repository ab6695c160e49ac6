"""KubeVirt's API of subresources with real guests: consoles, screens, start, stop, migrate."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from lab.tests.support import labs as support
from lab.tests.support import rfbclient
from lab.tests.support.lab_pods import Kubectl
from tests.support.objects import nic, vmi
from tests.support.patience import PATIENCE
from weft.kube import cache, client, resources
from weft.model import ObjectKey
from weft_lab.runtime.toolchain import Toolchain

pytestmark = pytest.mark.lab
NAME = "consoles"
LONGEST = 1 << 20  # bytes of a message
Object = dict[str, Any]
WITH_SCREEN = {"autoattachGraphicsDevice": True}


@dataclass
class Lab:
    house: support.LabHouse
    kubeconfig: str
    kubectl: Kubectl


def machine(name: str, **more: Any) -> Object:
    spec = vmi(name, nic("default", masquerade={}), **more)["spec"]
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"runStrategy": "Always", "template": {"spec": spec}},
    }


@pytest.fixture(scope="module")
def lab(toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    state = tmp_path_factory.mktemp("state")
    with support.running(NAME, 2, state, toolchain) as (house, kubeconfig):
        kubectl = Kubectl(house, kubeconfig)
        kubectl.apply(machine("one", devices=WITH_SCREEN), machine("two"))
        for role in ("view", "edit"):
            kubectl("create", "serviceaccount", role)
            account = f"--serviceaccount=default:{role}"
            kubectl("create", "rolebinding", role, f"--clusterrole={role}", account)
        yield Lab(house, kubeconfig, kubectl)


@pytest.fixture
async def api(lab: Lab) -> AsyncIterator[client.Client]:
    async with client.Client.from_kubeconfig(lab.kubeconfig) as found:
        yield found


async def until(api: client.Client, res: resources.Resource, name: str, fits: Any) -> Object:
    """The object, as soon as it fits: None if there is none."""
    found: asyncio.Future[Object] = asyncio.get_running_loop().create_future()
    known = cache.Cache(api, res, namespace="default", field_selector=f"metadata.name={name}")

    def look(key: ObjectKey, old: Object | None, new: Object | None) -> None:
        if not found.done() and fits(new):
            found.set_result(new or {})

    known.subscribe(look)
    running = asyncio.ensure_future(known.run())
    try:
        async with asyncio.timeout(PATIENCE):
            return await found
    finally:
        running.cancel()
        await asyncio.wait([running])


def connected(vmi: Object | None) -> bool:
    conditions = ((vmi or {}).get("status") or {}).get("conditions") or ()
    return any(one["type"] == "AgentConnected" and one["status"] == "True" for one in conditions)


class Typed:
    """A serial console, in text."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def __call__(self, command: str, word: str) -> str:
        """Type a line, and read until the word comes, which the line does not have in it."""
        assert word not in command
        await self._type("", "# ")  # a shell that has just begun forgets what was typed before
        return await self._type(command, word)

    async def _type(self, command: str, word: str) -> str:
        await self._socket.send_bytes(f"{command}\n".encode())
        seen = ""
        async with asyncio.timeout(PATIENCE):
            while word not in seen:
                seen += (await self._socket.receive_bytes()).decode(errors="replace")
        return seen


def console(
    api: client.Client, name: str = "one", kind: str = "console"
) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientWebSocketResponse]:
    path = resources.VMI_CONSOLES.path("default", name, kind)
    return api.websocket(path, protocol=resources.CONSOLE_PROTOCOL, longest=LONGEST, where=name)


async def put(api: client.Client, name: str, verb: str) -> None:
    await api.act(resources.VM_ACTIONS.path("default", name, verb), name)


async def ended(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Read until the server closes it."""
    async with asyncio.timeout(PATIENCE):
        while (await socket.receive()).type is aiohttp.WSMsgType.BINARY:
            pass


async def test_a_guest_is_typed_to_by_who_may(lab: Lab, api: client.Client) -> None:
    await until(api, resources.VMIS, "one", connected)
    async with console(api) as first:
        seen = await Typed(first)("echo $((41 + 1))-answer", "42-answer")
        assert "42-answer" in seen
        async with console(api) as second:  # takes it over
            await ended(first)
            await Typed(second)("echo again | tr a-z A-Z", "AGAIN")
    token = lab.kubectl("create", "token", "view").strip()
    told = lab.house.try_kubectl(
        lab.kubeconfig,
        f"--token={token}",
        *("get", "--raw", resources.VMI_CONSOLES.path("default", "one", "console")),
    )
    assert 'cannot get resource "virtualmachineinstances/console"' in str(told)
    done = lab.house.weft("vm", "console", "one", "--lab", NAME, stdin="echo $((6 * 7))\n")
    assert "\n42" in done.stdout
    pod = lab.kubectl("get", "pods", "-l", "vm.kubevirt.io/name=one", "-o", "name").strip()
    assert lab.kubectl("exec", pod, "--", "busybox", "id", "-u").strip() == "0"


async def test_a_screen_is_drawn_where_there_is_one(api: client.Client) -> None:
    await until(api, resources.VMIS, "one", connected)
    async with console(api, kind="vnc") as socket:
        screen = rfbclient.Client(socket.receive_bytes, socket.send_bytes)
        assert await screen.version() == rfbclient.VERSION
        picture = await screen.screen()
    assert (picture.width, picture.height) >= (640, 400)
    assert picture.colours > 1
    await until(api, resources.VMIS, "two", connected)
    with pytest.raises(client.ApiError, match="No graphics devices are present"):
        async with console(api, "two", "vnc"):
            pass


async def migrated(api: client.Client, name: str, before: Object) -> Object:
    """The instance, once it is on another node than before."""
    await put(api, name, "migrate")
    found: Object = await until(
        api,
        resources.VMIS,
        name,
        lambda now: now and now["status"]["nodeName"] != before["status"]["nodeName"],
    )
    return found


async def test_a_migration_ends_consoles_and_new_ones_reach_the_guest(
    lab: Lab, api: client.Client
) -> None:
    before = await until(api, resources.VMIS, "one", connected)
    async with console(api) as first, console(api, kind="vnc") as screen:
        await Typed(first)("touch /tmp/mine; echo $((1 + 1))-made", "2-made")
        moved = await migrated(api, "one", before)
        await ended(first)
        await ended(screen)
    assert moved["metadata"]["uid"] == before["metadata"]["uid"]
    async with console(api) as second:
        assert "/tmp/mine" in await Typed(second)("ls /tmp/m*; echo $((2 + 1))-seen", "3-seen")
    async with console(api, kind="vnc") as screen:
        pictured = rfbclient.Client(screen.receive_bytes, screen.send_bytes)
        await pictured.version()
        assert (await pictured.screen()).colours > 1


async def test_a_machine_is_stopped_started_and_restarted(api: client.Client) -> None:
    before = await until(api, resources.VMIS, "two", connected)
    await put(api, "two", "restart")
    anew = await until(
        api,
        resources.VMIS,
        "two",
        lambda now: connected(now) and now["metadata"]["uid"] != before["metadata"]["uid"],
    )
    assert anew["status"]["phase"] == "Running"
    await put(api, "two", "stop")
    await until(api, resources.VMIS, "two", lambda now: now is None)
    with pytest.raises(client.NotFound, match='"two" not found'):
        async with console(api, "two"):
            pass
    with pytest.raises(client.Conflict, match="VM is not running"):
        await put(api, "two", "stop")
    await put(api, "two", "start")
    await until(api, resources.VMIS, "two", connected)


def paused(vmi: Object | None) -> bool:
    conditions = ((vmi or {}).get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Paused" and one["status"] == "True" for one in conditions)


async def order(api: client.Client, name: str, verb: str, **body: Any) -> None:
    await api.act(resources.VMI_CONSOLES.path("default", name, verb), name, body)


async def test_a_paused_guest_stands_still_also_where_it_moves(
    lab: Lab, api: client.Client
) -> None:
    before = await until(api, resources.VMIS, "two", connected)
    with pytest.raises(client.Conflict, match="VMI is not paused"):
        await order(api, "two", "unpause")
    lab.house.weft("vm", "pause", "two", "--lab", NAME)
    await until(api, resources.VMIS, "two", paused)
    shown = await until(
        api, resources.VMS, "two", lambda vm: vm["status"]["printableStatus"] == "Paused"
    )
    ready = next(one for one in shown["status"]["conditions"] if one["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "ReadinessGatesNotReady")
    with pytest.raises(client.Conflict, match="VMI is already paused"):
        await order(api, "two", "pause")
    assert paused(await migrated(api, "two", before))
    async with console(api, "two") as socket:
        await socket.send_bytes(b"\necho $((5 + 1))-goes\n")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await socket.receive_bytes()
        await order(api, "two", "unpause")
        seen = ""
        async with asyncio.timeout(PATIENCE):
            while "6-goes" not in seen:
                seen += (await socket.receive_bytes()).decode(errors="replace")
    await until(api, resources.VMIS, "two", lambda now: not paused(now) and connected(now))


async def test_a_machine_starts_paused(lab: Lab, api: client.Client) -> None:
    await put(api, "two", "stop")
    await until(api, resources.VMIS, "two", lambda now: now is None)
    lab.house.weft("vm", "start", "two", "--paused", "--lab", NAME)
    vmi = await until(api, resources.VMIS, "two", paused)
    assert vmi["spec"]["startStrategy"] == "Paused"
    vm = await until(
        api, resources.VMS, "two", lambda vm: vm["status"]["printableStatus"] == "Paused"
    )
    assert vm["spec"]["runStrategy"] == "Always"
    assert "RestartRequired" not in {one["type"] for one in vm["status"]["conditions"]}
    assert not connected(vmi)
    for body, words in (
        ({}, "Unfreeze timeout"),
        ({"unfreezeTimeout": "0s"}, "Guest agent is not"),
    ):
        with pytest.raises(client.ApiError, match=rf"400 \(400 Bad Request\), message: {words}"):
            await order(api, "two", "freeze", **body)
    lab.house.weft("vm", "unpause", "two", "--lab", NAME)
    await until(api, resources.VMIS, "two", lambda now: connected(now) and not paused(now))


@pytest.mark.parametrize("how", ["soft-reboot", "reset"])
async def test_a_guest_starts_anew_and_stays_the_instance(
    lab: Lab, api: client.Client, how: str
) -> None:
    before = await until(api, resources.VMIS, "two", connected)
    async with console(api, "two") as socket:
        await Typed(socket)("touch /run/old; echo $((3 + 4))-made", "7-made")
    down = asyncio.ensure_future(until(api, resources.VMIS, "two", lambda vmi: not connected(vmi)))
    await asyncio.to_thread(lab.house.weft, "vm", how, "two", "--lab", NAME)
    await down
    anew = await until(api, resources.VMIS, "two", connected)
    assert anew["metadata"]["uid"] == before["metadata"]["uid"]
    async with console(api, "two") as socket:
        await Typed(socket)("[ -e /run/old ] || echo $((3 * 3))-anew", "9-anew")


async def test_a_screen_is_pictured(lab: Lab, api: client.Client, tmp_path: Path) -> None:
    await until(api, resources.VMIS, "one", connected)
    file = tmp_path / "one.png"
    lab.house.weft("vm", "screenshot", "one", "-f", str(file), "--lab", NAME)
    picture = file.read_bytes()
    assert picture[:16] == b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
    width, height = struct.unpack(">II", picture[16:24])
    assert (width, height) >= (640, 400)
    path = resources.VMI_CONSOLES.path("default", "two", "vnc/screenshot")
    with pytest.raises(client.ApiError, match="No graphics devices are present"):
        await api.content(path)
