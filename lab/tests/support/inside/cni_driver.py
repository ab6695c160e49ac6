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

from weft import names, rows
from weft.app import agent, settings
from weft.cni import install
from weft.host import netlink, netns, sockets
from weft.nic import port
from weft.node import attach, call, links, repair
from weft.node.dependencies import Dependencies

# How long a driver hopes for what is to come: as tests.support.patience.
PATIENCE = 60.0
SOCKET = "/run/weft/test/cni.sock"
BIN = Path("/run/weft/test-bin")
NETNS = Path("/run/netns")
ORIGINAL = agent.Agent


class Driver:
    deps: Dependencies
    task: asyncio.Task[None]

    def __init__(self, options: settings.Agent, patience: float) -> None:
        self.options, self.patience = options, patience
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
            device = names.host_device(env["CNI_CONTAINERID"], env["CNI_IFNAME"])
            await self.deps.ovs.wait_for("Interface", device, lambda row: row is not None, PATIENCE)
            process.kill()
            await process.wait()
            await self.deps.ovs.wait_for("Interface", device, lambda row: row is None, PATIENCE)
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

    async def do_spoil(self, step: str, kill: bool = False) -> None:
        """Have one step fail after it was done, or the whole process; an empty name heals all."""
        places = {
            "write_port": attach,
            "wait_for_port": attach,
            "make_veth": links,
            "move_internal": links,
        }
        for name, original in self.spoilt.items():
            setattr(places[name], name, original)
        self.spoilt.clear()
        if not step:
            return
        original = self.spoilt[step] = getattr(places[step], step)

        async def broken(*args: Any) -> None:
            await original(*args)
            if kill:
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(5, f"spoilt: {step}")

        setattr(places[step], step, broken)

    async def do_vsctl(self, *, args: list[str]) -> str:
        """Somebody else's hand in the switch's database; does not wait for vswitchd."""
        process = await asyncio.create_subprocess_exec(
            *("ovs-vsctl", "--no-wait", *args),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return out.decode().strip()

    async def do_reaches(self, name: str, address: str, tries: int) -> bool:
        """Whether one of so many pings from the namespace is answered."""
        inside = ("nsenter", f"--net={NETNS / name}", "busybox", "ping", "-c", "1", "-W", "1")
        for _ in range(tries):
            process = await asyncio.create_subprocess_exec(
                *inside, address, stdout=asyncio.subprocess.DEVNULL
            )
            if await process.wait() == 0:
                return True
        return False

    async def do_works(self, device: str) -> list[str]:
        """Wait until OVN says that the port works; what the agent says then."""
        await self._until(lambda: self.deps.records.get(device) is not None)
        ours = self.deps.records.get(device)
        assert ours is not None

        def works(row: Any) -> bool:
            found = port.bound(row) if row else None
            return bool(row) and found == ours.bound and port.installed(row)

        await self.deps.ovs.wait_for("Interface", device, works, PATIENCE)
        await self._until(lambda: not self.not_ready())
        return list(self.not_ready())

    async def _until(self, holds: Any) -> None:
        """Wait for what comes of a row's change, with no event of its own."""
        async with asyncio.timeout(PATIENCE):
            while not holds():  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def do_lose(self, device: str) -> int:
        """Delete a port that the switch is slow to make; how often its row is made until it works.

        vswitchd is held until the agent has looked, in vain, whether the new port works.
        """
        made: list[rows.Columns] = []
        kept = repair._CLAIM, repair._PATIENCE

        def changed(_: str, old: rows.Columns | None, new: rows.Columns | None) -> None:
            if old is None and new is not None and new["name"] == device:
                made.append(new)

        def is_judged() -> bool:
            waits = bool(self.repairer._queue) or device in self.repairer._judged
            return bool(made) and device in self.repairer._lost and not waits

        end = self.deps.ovs.subscribe("Interface", changed)
        repair._CLAIM = repair._PATIENCE = 0.0
        try:
            await self.do_pause("ovs-vswitchd", stop=True)
            try:
                await self.do_vsctl(args=["del-port", device])
                await self._until(is_judged)
            finally:
                repair._CLAIM, repair._PATIENCE = kept
                await self.do_pause("ovs-vswitchd", stop=False)
            await self.do_works(device)
        finally:
            end()
        return len(made)

    async def do_troubled(self) -> list[str]:
        await self._until(self.not_ready)
        return list(self.not_ready())

    async def do_forgotten(self, device: str) -> None:
        await self._until(lambda: self.deps.records.get(device) is None)
        await self.deps.ovs.wait_for("Interface", device, lambda row: row is None, PATIENCE)

    async def do_settled(self) -> None:
        """What an earlier agent left has been looked at."""
        await self._until(lambda: not attach.bounds(self.deps))

    async def do_agent(self, runs: bool) -> None:
        """End the node's agent, or start another one in its place."""
        await (self.start() if runs else self.stop())

    async def do_remembered(self) -> list[str]:
        return sorted(each.device for each in self.deps.records.all())

    async def do_forget_records(self) -> None:
        """As if an older agent, which remembered nothing, had made all of this."""
        for path in self.deps.settings.attachments.glob("*.json"):
            path.unlink()

    async def do_cancelled(self, env: dict[str, str], data: str, again: bool) -> Any:
        """An ADD that is cancelled at its first await, one at its second, and so on, until one
        comes to its end; `again`: each is cancelled at all later ones too. What each left."""
        asked = call.parse(env, data.encode())
        left, count = [], 0
        while True:
            count += 1
            halted = Halted(attach.add(asked, self.deps), count, again)
            try:
                async with self.turns.of((asked.sandbox, asked.interface)):
                    await asyncio.create_task(halted.run())
            except asyncio.CancelledError:
                found = await self.do_left()
                inside = await netns.run_inside(env["CNI_NETNS"], netlink.read, asked.interface)
                if found != {"ports": [], "devices": []} or inside or len(self.deps.records):
                    left.append((count, found, str(inside)))
                continue
            return {"cancelled": count - 1, "left": left}

    async def start(self) -> None:
        made: asyncio.Future[Dependencies] = asyncio.get_running_loop().create_future()
        patience = self.patience
        serving: list[Any] = []

        class Agent(ORIGINAL):
            def _dependencies(self) -> Dependencies:
                deps: Dependencies = super()._dependencies()
                deps = replace(deps, settings=replace(deps.settings, patience=patience))
                serving.append(self)
                made.set_result(deps)
                return deps

        agent.Agent = Agent  # type: ignore[misc]
        self.task = asyncio.create_task(agent.run(self.options))
        either: set[asyncio.Future[Any]] = {self.task, made}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        self.deps = await made
        await self._until(lambda: serving[0].cni is not None)
        cni = serving[0].cni
        self.turns, self.repairer, self.not_ready = cni._turns, cni.repairer, serving[0].not_ready
        await self._until(lambda: sockets.accepts(Path(SOCKET)))

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})


class Halted:
    """A coroutine whose task is cancelled when it waits for the `at`-th time."""

    def __init__(self, work: Any, at: int, again: bool) -> None:
        self._work, self._at, self._again = work, at, again

    async def run(self) -> Any:
        return await self

    def __await__(self) -> Any:
        steps, failure, count = self._work.__await__(), None, 0
        while True:
            try:
                waits_for = steps.throw(failure) if failure else steps.send(None)
            except StopIteration as end:
                return end.value
            count += 1
            if count == self._at or (self._again and count > self._at):
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            failure = None
            try:
                yield waits_for
            except BaseException as error:
                failure = error


async def serve(kind: str, patience: float) -> None:
    """The node's agent as it is, but for its patience; orders are obeyed beside it."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    install.install(BIN)
    options = settings.Agent(
        node="node1", kubeconfig="/run/weft/kubeconfig", cni_socket=SOCKET, nic_kind=kind
    )
    driver = Driver(options, patience)
    await driver.start()
    print(json.dumps("ready"), flush=True)
    while line := await reader.readline():
        try:
            answer = {"done": await driver.obey(json.loads(line))}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
    await driver.stop()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], float(sys.argv[2])))
