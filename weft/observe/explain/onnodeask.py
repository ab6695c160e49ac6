"""Asks a guest or pod at its own port which address it uses.

    python -m weft.observe.explain.onnodeask

It runs on the node of the port: in a lab's node, or in the agent's pod. The switch hands the port
one question, who has the address (ARP or Neighbour Discovery), and a packet socket on the port's
device hears what comes back, and what else the guest says of itself. If it has the address, it is
asked once more, by a ping as from the other end: to whom it answers says which subnet it believes
to be on. No packet of this passes OVN on its way to the guest.

Order and answer are those of `attended`: the program ends with who asked. `asking` writes the one
and reads the other.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Protocol, TypeVar

from weft import errors, model
from weft.host import netns, process, rawsocket
from weft.observe.capture import expression, program
from weft.observe.capture import onnode as capturing
from weft.observe.capture.order import Order
from weft.observe.explain import asking, attended, neighbourframes, onnode, probeframes
from weft.observe.explain.neighbourframes import FrameKind
from weft.ovn import daemons
from weft.ovsdb.session import Session

TRIES = 2  # packets get lost
_LONGEST = 256  # bytes of a frame that are looked at
_MOST_KEPT = 1000  # MACs, and addresses, of which a guest speaks
_Word = TypeVar("_Word")
_SELECTED = {
    "op": "select",
    "table": "Interface",
    "where": [],
    "columns": ["name", "type", "ofport", "external_ids", "error"],
}


@dataclass
class Heard:
    """What the guest said. `senders`: addresses from which it sent, each with its MAC."""

    answered: dict[str, None] = field(default_factory=dict)
    senders: dict[tuple[str, str], None] = field(default_factory=dict)
    sought: dict[str, None] = field(default_factory=dict)
    by_dhcp: bool = False
    echoed: str | None = None

    def take(self, content: neighbourframes.FrameContent, address: model.Address) -> None:
        if content.kind is FrameKind.DHCP and content.address is not None:
            self.by_dhcp |= content.address.version == address.version
        if content.kind is FrameKind.HOLDS and content.address == address:
            _keep(self.answered, content.mac)
        elif content.sender is not None:
            _keep(self.senders, (content.mac, str(content.sender)))
        if content.kind is FrameKind.SEEKS and content.address != content.sender:
            _keep(self.sought, str(content.address))

    def rendered(self) -> dict[str, Any]:
        return {
            "answered": list(self.answered)[: asking.MOST],
            "senders": [list(each) for each in self.senders][: asking.MOST],
            "sought": list(self.sought)[: asking.MOST],
            "by_dhcp": self.by_dhcp,
            "echoed": self.echoed,
        }


def _keep(kept: dict[_Word, None], one: _Word) -> None:
    if len(kept) < _MOST_KEPT:
        kept[one] = None


class Switched(Protocol):
    """What is asked of a port."""

    async def hand(self, frame: bytes) -> None: ...

    async def frame(self) -> bytes: ...


class _Port:
    """A port of the switch: what is handed to it, and a socket that hears its guest."""

    def __init__(self, number: int, sock: socket.socket, *, is_pods_end: bool) -> None:
        self._number, self._sock, self._is_pods_end = number, sock, is_pods_end

    async def hand(self, frame: bytes) -> None:
        text = f"in_port=CONTROLLER,packet={frame.hex()},actions=output:{self._number}"
        argv = ("ovs-ofctl", "packet-out", onnode.BRIDGE, text)
        await process.run(argv, env={**onnode.FOLDERS, **os.environ}, timeout=onnode.PATIENCE)

    async def frame(self) -> bytes:
        """The next frame that the guest sends; b"" for one that it receives."""
        loop = asyncio.get_running_loop()
        frame, where = await loop.sock_recvfrom(self._sock, _LONGEST)
        # Of the pod's end the guest's frames go out, of the node's end they come in.
        return frame if (where[2] == socket.PACKET_OUTGOING) is self._is_pods_end else b""


async def ask(order: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to an order."""
    try:
        number, where = await _device(order)
        accept = program.compile(expression.parse(neighbourframes.FILTER), _LONGEST)
        sock = await _opened(where, accept)
        with sock:
            port = _Port(number, sock, is_pods_end=bool(where.namespace))
            return (await _asked(port, order)).rendered()
    except errors.WeftError as error:
        return {"error": error.what}
    except OSError as error:
        return {"error": f"the port's device cannot be heard: {error.strerror}"}


async def _device(order: Mapping[str, Any]) -> tuple[int, capturing.Device]:
    """The OpenFlow port and the device of a logical port. Raises Unavailable."""
    session = await Session.connect(str(order["ovs"]))
    try:
        async with asyncio.timeout(onnode.PATIENCE):
            (found,) = await session.transact("Open_vSwitch", [_SELECTED])
    except TimeoutError:
        raise errors.Unavailable("Open vSwitch does not answer", where=order["ovs"]) from None
    finally:
        await session.close()
    asked = Order(order["port"], order["pod"], "")
    rows = [row for row in found["rows"] if _is_of(row, asked.port)]
    device = capturing.device(asked, rows)
    for row in rows:
        is_it = row["name"] == device.name or bool(device.namespace)
        if is_it and type(row["ofport"]) is int and row["ofport"] > 0:
            return row["ofport"], device
    raise errors.Unavailable("its switch has no port of the pod", where=asked.port)


def _is_of(row: Mapping[str, Any], port: str) -> bool:
    return dict(row["external_ids"][1]).get("iface-id") == port


async def _opened(
    where: capturing.Device, accept: tuple[program.Instruction, ...]
) -> socket.socket:
    def opened() -> socket.socket:
        return rawsocket.open(capturing.present(where), accept, rawsocket.ETH_P_ALL)

    if where.namespace:
        return await netns.run_inside(where.namespace, opened)
    return opened()


async def _asked(port: _Port, order: Mapping[str, Any]) -> Heard:
    heard, address = Heard(), ip_address(order["address"])
    patience = min(float(order["patience"]), probeframes.LONGEST_WAIT)
    mac = "02:" + secrets.token_bytes(5).hex(":")  # nobody's, and no group's

    def is_answered(frame: bytes) -> bool:
        content = neighbourframes.read(frame)
        if content is not None:
            heard.take(content, address)
        return order["mac"] in heard.answered

    if not await tried(port, neighbourframes.question(address, mac), is_answered, patience):
        return heard
    if not order.get("peer"):
        return heard
    heard.sought.clear()
    heard.echoed = ""
    number, sequence = secrets.randbits(16), secrets.randbits(32)
    packet = {
        "protocol": "ICMP",
        "addresses": [order["peer"]["address"], str(address)],
        "macs": [order["peer"]["mac"], order["mac"]],
    }

    def is_echoed(frame: bytes) -> bool:
        if probeframes.reply(frame, packet, number, sequence) is not None:
            heard.echoed = frame[:6].hex(":")
            return True
        content = neighbourframes.read(frame)
        if content is not None:
            heard.take(content, address)
        return False

    await tried(port, probeframes.request(packet, number, sequence), is_echoed, patience)
    return heard


async def tried(
    port: Switched, frame: bytes, is_it: Callable[[bytes], bool], patience: float
) -> bool:
    """Hand over a frame until one that comes back is the one looked for."""
    for _ in range(TRIES):
        await port.hand(frame)
        try:
            async with asyncio.timeout(patience / TRIES):
                while True:
                    found = await port.frame()
                    if found and is_it(found):
                        return True
                    await asyncio.sleep(0)  # frames that are there already do not let time pass
        except TimeoutError:
            continue
    return False


def main() -> None:
    asyncio.run(attended.serve(lambda order: ask({"ovs": daemons.OVS, **order})))


if __name__ == "__main__":
    main()
