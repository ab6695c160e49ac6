"""Runs inside a lab's node: calls the CNI plugin, and looks at what came of it.

The node's agent runs in here, so that a test may choose its patience and break its steps. Orders
are JSON, one a line on standard input; every order has one line of answer.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from weft.app import agent, settings
from weft.cni import install
from weft.host import netlink, netns
from weft.nic import port
from weft.node import attach, wiring
from weft.node.dependencies import Dependencies

SOCKET = "/run/weft/test/cni.sock"
BIN = Path("/run/weft/test-bin")
NETNS = Path("/run/netns")


class Driver:
    def __init__(self, deps: Dependencies) -> None:
        self.deps = deps
        self.spoilt: dict[str, Any] = {}

    async def obey(self, order: dict[str, Any]) -> Any:
        return await getattr(self, "do_" + order.pop("op"))(**order)

    async def do_call(
        self, env: dict[str, str], data: str, padding: int = 0, give_up: bool = False
    ) -> Any:
        """Run the plugin; with `give_up` kill it as soon as its port is in OVS."""
        started = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            str(BIN / "weft-cni"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "WEFT_CNI_SOCKET": SOCKET, **env},
        )
        if give_up:
            assert process.stdin is not None
            process.stdin.write(data.encode())
            process.stdin.close()
            device = port.names.host_device(env["CNI_CONTAINERID"], env["CNI_IFNAME"])
            await self.deps.ovs.wait_for("Interface", device, lambda row: row is not None, 10)
            process.kill()
            await process.wait()
            await self.deps.ovs.wait_for("Interface", device, lambda row: row is None, 10)
            return {}
        out, err = await process.communicate(data.encode() + b" " * padding)
        return {
            "status": process.returncode,
            "answer": json.loads(out) if out.strip() else None,
            "stderr": err.decode(),
            "ms": 1000 * (time.perf_counter() - started),
        }

    async def do_netns(self, name: str, make: bool = True) -> None:
        (netns.make if make else netns.unbind)(NETNS / name)

    async def do_look(self, name: str, interface: str) -> Any:
        link = await netns.run_inside(str(NETNS / name), netlink.read, interface)
        if link is None:
            return None
        return {
            "mac": link.mac,
            "mtu": link.mtu,
            "up": link.up,
            "addresses": sorted(map(str, link.addresses)),
        }

    async def do_change(self, name: str, interface: str, **attributes: Any) -> None:
        def work() -> None:
            with netlink.opened(interface) as route:
                index = netlink.find(route, interface)
                address = attributes.pop("drop", None)
                if address:
                    ip, length = address.split("/")
                    route.addr("del", index=index, address=ip, prefixlen=int(length))
                if attributes:
                    route.link("set", index=index, **attributes)

        await netns.run_inside(str(NETNS / name), work)

    async def do_add_link(self, name: str, interface: str) -> None:
        def work() -> None:
            with netlink.opened(interface) as route:
                route.link("add", ifname=interface, kind="bridge")

        await netns.run_inside(str(NETNS / name), work)

    async def do_left(self) -> Any:
        """Everything of pods that is in OVS or in the node's namespace."""

        def devices() -> list[str]:
            with netlink.opened("node") as route:
                links = [link.get_attr("IFLA_IFNAME") for link in route.get_links()]
            return sorted(name for name in links if name.startswith("wp"))

        return {
            "ports": sorted(b.device for b in attach.bounds(self.deps)),
            "devices": await asyncio.to_thread(devices),
        }

    async def do_bounds(self) -> Any:
        return [
            {"sandbox": b.sandbox, "interface": b.interface, "network": b.network}
            for b in attach.bounds(self.deps)
        ]

    async def do_kind(self) -> str:
        return self.deps.settings.kind.value

    async def do_modes(self) -> Any:
        paths = {"socket": SOCKET, "folder": os.path.dirname(SOCKET)}
        return {name: oct(os.stat(path).st_mode & 0o777) for name, path in paths.items()}

    async def do_patience(self, seconds: float) -> None:
        """How long the agent waits for all of one ADD, from the next one on."""
        patient = replace(self.deps.settings, patience=seconds)
        object.__setattr__(self.deps, "settings", patient)

    async def do_pause(self, program: str, stop: bool) -> None:
        """Hold a daemon of this node, or let it go on."""
        folder = "/run/ovn" if program.startswith("ovn") else "/run/openvswitch"
        pid = await asyncio.to_thread(Path(folder, f"{program}.pid").read_text)
        os.kill(int(pid), signal.SIGSTOP if stop else signal.SIGCONT)

    async def do_spoil(self, step: str) -> None:
        """Have one step fail after it was done; an empty name heals all."""
        places = {
            "write_port": attach,
            "wait_for_port": attach,
            "make_veth": wiring,
            "move_internal": wiring,
        }
        for name, original in self.spoilt.items():
            setattr(places[name], name, original)
        self.spoilt.clear()
        if not step:
            return
        original = self.spoilt[step] = getattr(places[step], step)

        async def broken(*args: Any) -> None:
            await original(*args)
            raise OSError(5, f"spoilt: {step}")

        setattr(places[step], step, broken)


async def serve(kind: str, patience: float) -> None:
    """The node's agent as it is, but for its patience; orders are obeyed beside it."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    install.install(BIN)
    made: asyncio.Future[Dependencies] = loop.create_future()

    class Agent(agent.Agent):
        def _dependencies(self) -> Dependencies:
            deps = super()._dependencies()
            deps = replace(deps, settings=replace(deps.settings, patience=patience))
            made.set_result(deps)
            return deps

    agent.Agent = Agent  # type: ignore[misc]
    options = settings.Agent(
        node="node1", kubeconfig="/run/weft/kubeconfig", cni_socket=SOCKET, nic_kind=kind
    )
    task = asyncio.create_task(agent.run(options))
    await asyncio.wait({task, made}, return_when=asyncio.FIRST_COMPLETED)
    driver = Driver(await made)
    print(json.dumps("ready"), flush=True)
    while line := await reader.readline():
        try:
            answer = {"done": await driver.obey(json.loads(line))}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
    task.cancel()
    await asyncio.wait({task})


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], float(sys.argv[2])))
