"""What a user of kubectl is told of networks, and that it is what the cluster manager knows."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import apiserver, cluster_manager, cluster_world
from tests.support import kubectl as kubectls
from tests.support.kubectl import Kubectl
from weft import names
from weft.kube import resources
from weft.kube.client import Client, NotFound
from weft_lab.runtime.toolchain import Toolchain

pytestmark = pytest.mark.real

CHASSIS = {"node_chassis_id": "one", "node_encap_ips": '["10.0.0.1"]'}


@dataclass
class User:
    api: Client
    kubectl: Kubectl

    async def make(self, res: resources.Resource, obj: dict[str, Any]) -> None:
        del obj["metadata"]["uid"]
        await self.api.create(res, {**obj, "apiVersion": res.api_version, "kind": res.kind})

    async def weft(self, *arguments: str, ok: bool = True) -> str:
        """Runs a command of weft; returns its output and complaints."""
        done = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "weft.cli.main", *arguments),
            *("--kubeconfig", str(self.kubectl.kubeconfig)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await done.communicate()
        assert (done.returncode == 0) is ok, output.decode()
        return output.decode()

    async def shows(self, path: str, value: object) -> None:
        """Returns when the object of network blue shows this value."""
        wanted = f"--for=jsonpath={{.status.{path}}}={value}"
        await self.kubectl("wait", "wnet/blue", wanted, "--timeout=60s")


@pytest.fixture
async def user(tmp_path: Path, toolchain: Toolchain) -> AsyncIterator[User]:
    async with (
        apiserver.running(tmp_path) as server,
        Client.from_kubeconfig(str(server.kubeconfig)) as api,
        cluster_manager.running(server.kubeconfig),
    ):
        found = User(api, Kubectl(kubectls.program("lab", toolchain), server.kubeconfig, tmp_path))
        await found.make(resources.NODES, cluster_world.node("node1", **CHASSIS))
        await found.make(resources.NADS, cluster_world.nad("blue", subnets="10.1.0.0/29"))
        await asyncio.wait_for(_exists(api), 60)
        yield found


async def _exists(api: Client, before: str = "", name: str = "blue") -> None:
    """Returns when the manager has made the object of a network, another than uid `before`."""
    listing = await api.list(resources.NETWORKS)
    there = [obj["metadata"]["uid"] for obj in listing if obj["metadata"]["name"] == name]
    if there and there != [before]:
        return
    async for kind, obj in api.watch(resources.NETWORKS, listing.resource_version):
        meta = obj["metadata"]
        if kind != "DELETED" and meta["name"] == name and meta["uid"] != before:
            return
    raise AssertionError(f"the watch ended before there was an object of {name}")


async def test_the_table(user: User) -> None:
    await user.make(resources.PODS, cluster_world.pod("one"))
    await user.shows("members", 1)
    head, row = (await user.kubectl("get", "wnet")).strip().splitlines()
    columns = "NAME TOPOLOGY SUBNETS ACCEPTED SERVED UP-TO-DATE MEMBERS NODES USED FREE AGE"
    assert " ".join(head.split()) == columns
    assert " ".join(row.split()[:-1]) == "blue layer2 10.1.0.0/29 True True True 1 1 1 5"


async def test_the_command_lists_the_same(user: User) -> None:
    await user.shows("freeAddresses", 6)
    head, row = (await user.weft("networks")).splitlines()
    assert head.split()[0] == "NETWORK"
    assert row.split() == [
        "blue",
        "layer2",
        "10.1.0.0/29",
        "default/blue",
        *("0", "0"),
        *("6", "0", "6", "-"),
        "ok",
    ]


async def test_kubectl_waits_for_a_condition(user: User) -> None:
    await user.kubectl("wait", "wnet/blue", "--for=condition=Served", "--timeout=60s")


async def test_what_somebody_deletes_or_alters_is_written_again(user: User) -> None:
    await user.shows("owner", "default/blue")
    before = await user.api.get(resources.NETWORKS, "blue")
    await user.kubectl("delete", "wnet", "blue", "--wait=false")
    await asyncio.wait_for(_exists(user.api, before["metadata"]["uid"]), 60)
    await user.shows("owner", "default/blue")
    forged = {"status": {"owner": "evil/blue", "members": 99}}
    await user.api.patch(resources.NETWORKS, "blue", "", forged, subresource="status")
    await user.shows("owner", "default/blue")
    await user.shows("members", 0)


async def test_a_network_that_is_gone_is_not_listed(user: User) -> None:
    await user.shows("owner", "default/blue")
    await user.kubectl("delete", "net-attach-def", "blue")
    await user.kubectl("wait", "wnet/blue", "--for=delete", "--timeout=60s")
    with pytest.raises(NotFound):
        await user.api.get(resources.NETWORKS, "blue")


async def test_a_nad_that_was_never_valid_says_why_in_an_object(user: User) -> None:
    await user.make(resources.NADS, cluster_world.nad("bad", "red", mtu=3))
    await user.make(resources.NADS, cluster_world.raw_nad("worse", "{"))
    own = names.network_object("default/worse")
    for name in ("red", own):
        await asyncio.wait_for(_exists(user.api, name=name), 60)
        await user.kubectl(
            "wait", f"wnet/{name}", "--for=condition=Accepted=False", "--timeout=60s"
        )
    shown = await user.kubectl("get", "wnet", "red", own, "-o", "wide")
    head, red, worse = (line.split() for line in shown.splitlines())
    assert head[:5] == ["NAME", "TOPOLOGY", "SUBNETS", "ACCEPTED", "SERVED"]
    assert red[:3] == ["red", "False", "Unknown"]
    assert " ".join(red).count("NetworkAttachmentDefinition default/bad: spec.config.mtu 3:") == 1
    assert worse[:3] == [own, "False", "Unknown"]
    assert "NetworkAttachmentDefinition default/worse: spec.config:" in " ".join(worse)
    await user.kubectl("delete", "net-attach-def", "bad", "worse")
    for name in ("red", own):
        await user.kubectl("wait", f"wnet/{name}", "--for=delete", "--timeout=60s")


async def test_the_command_lists_who_holds_addresses(user: User) -> None:
    """But of a namespace that holds none it lists none, and of a network that is not there it says
    so."""
    await user.make(resources.PODS, cluster_world.pod("one"))
    await user.shows("usedAddresses", 1)
    head, row, *more = (await user.weft("ip", "--network", "blue")).splitlines()
    assert head.split() == [
        "NETWORK",
        "ADDRESS",
        "MAC",
        "HOLDER",
        "CLAIM",
        "NODE",
        "SINCE",
        "UNUSED",
    ]
    assert row.split()[:6] == [
        *("blue", "10.1.0.1/29", "0a:58:0a:01:00:01"),
        *("Pod:default/one", "-", "node1"),
    ]
    assert row.split()[7] == "-"
    assert not more
    (one,) = json.loads(await user.weft("ip", "-o", "json"))
    assert (one["held_by"], one["address"], one["unused"]) == ("Pod default/one", "10.1.0.1/29", "")
    assert await user.weft("ip", "-n", "elsewhere") == "No address is held.\n"
    assert "networks: blue" in await user.weft("ip", "--network", "red", ok=False)
    await user.api.delete(resources.NODES, "node1")
    (one,) = json.loads(await user.weft("ip", "--unused", "-o", "json"))
    assert one["unused"] == "NodeGone"
    assert "kubectl delete pod one -n default --force" in one["message"]


async def test_an_address_is_reserved_and_released(user: User) -> None:
    nad = cluster_world.nad("red", subnets="10.2.0.0/29", allowPersistentIPs=True)
    await user.make(resources.NADS, nad)
    await asyncio.wait_for(_exists(user.api, name="red"), 60)
    await user.make(resources.PODS, cluster_world.pod("one", "red"))
    await user.kubectl(*("wait", "wnet/red", "--for=jsonpath={.status.members}=1", "--timeout=60s"))
    on = ("--network", "red", "--mac", "02:00:00:00:00:05", "--address", "10.2.0.5")
    output = await user.weft("ip", "reserve", "vm.red", *on)
    assert "Reserved 10.2.0.5/29 of network red for IPAMClaim default/vm.red" in output
    assert "with MAC 02:00:00:00:00:05" in output
    (row,) = json.loads(await user.weft("ip", "--unused", "-o", "json"))
    assert (row["address"], row["claim"], row["unused"]) == (
        *("10.2.0.5/29", "default/vm.red"),
        "Reserved",
    )
    # What cannot be had leaves no claim behind, and names who has it.
    for refused, named in (
        (("--address", "10.2.0.1"), "Pod default/one"),
        (("--address", "10.2.0.5"), "IPAMClaim default/vm.red"),
        (("--mac", "02:00:00:00:00:05"), "IPAMClaim default/vm.red"),
        (("--address", "fd00::1"), "is IPv6, but the network has only 10.2.0.0/29"),
        (("--address", "10.2.0.x"), "10.2.0.x"),
    ):
        assert named in await user.weft(
            *("ip", "reserve", "other", "--network", "red"), *refused, ok=False
        )
    assert "allowPersistentIPs" in await user.weft(
        *("ip", "reserve", "other", "--network", "blue"), ok=False
    )
    listed = await user.api.list(resources.IPAMCLAIMS)
    assert [each["metadata"]["name"] for each in listed] == ["vm.red"]
    again = await user.weft("ip", "reserve", "vm.red", "--network", "red", ok=False)
    assert "exists already, and keeps 10.2.0.5/29" in again
    # The pod that names the claim has what was reserved; while it uses the claim, nobody else may.
    requested = [{"name": "red", "ipam-claim-reference": "vm.red"}]
    await user.make(resources.PODS, cluster_world.pod("launcher", requested))
    await user.kubectl(*("wait", "wnet/red", "--for=jsonpath={.status.members}=2", "--timeout=60s"))
    found = json.loads(await user.weft("ip", "-o", "json", "--network", "red"))
    (row,) = [each for each in found if each["claim"]]
    assert (row["address"], row["mac"], row["held_by"], row["unused"]) == (
        *("10.2.0.5/29", "02:00:00:00:00:05"),
        *("Pod default/launcher", ""),
    )
    assert "is used by Pod default/launcher" in await user.weft("ip", "release", "vm.red", ok=False)
    await user.api.delete(resources.PODS, "launcher", "default", grace=0)
    assert "Released 10.2.0.5/29." in await user.weft("ip", "release", "vm.red")
    assert "Reserved 10.2.0.5/29" in await user.weft(
        *("ip", "reserve", "next", "--network", "red", "--address", "10.2.0.5")
    )
    assert "does not exist" in await user.weft("ip", "release", "vm.red", ok=False)
