"""Sends a packet in the name of a pod, from the pod's port in its node's switch.

    python -m weft.observe.explain.onnodeprobe

It runs in the agent's pod on the source's node. The packet enters br-int as if the pod had sent it
(`ovs-ofctl packet-out`), passes all that a packet of the pod passes, and the target answers.
Nothing runs in a pod: the answer is heard by a packet socket in the source's network namespace. The
source's system did not ask, and refuses the answer by itself; a connection is reset here, too.

Order and answer are those of `attended`: the program ends with who asked.

    packet     as `zone.order` makes it
    patience   seconds to wait for each answer, at most 30
    size       bytes of a ping that is sent, too, if the packet is answered; 0 for none
    reply      what came back, "" for nothing
    full       what came back of that ping; no such key if a small one had no answer
    error      why nothing was sent
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from weft import errors
from weft.host import netns, process, rawsocket
from weft.nic import port
from weft.observe.explain import attended, onnode, probeframes, zone
from weft.ovn import daemons
from weft.ovsdb.session import Session

TRIES = 2  # packets get lost
# Ports that Linux and its guests give to no connection of their own (ip_local_port_range).
_FIRST_PORT, _LAST_PORT = 61000, 65535
_MOST_FRAMES = 100_000
_SELECTED = {
    "op": "select",
    "table": "Interface",
    "where": [],
    "columns": ["name", "ofport", "external_ids"],
}


async def probe(order: Mapping[str, Any]) -> dict[str, str]:
    """The answer to an order."""
    packet = order["packet"]
    if not probeframes.can_send(packet):
        return {"error": f"there is no probe for {packet['protocol']}"}
    try:
        ofport, namespace = await _port(str(order["ovs"]), packet["source"])
        asking = _Asking(ofport, namespace, min(float(order["patience"]), probeframes.LONGEST_WAIT))
        found = {"reply": await asking.ask(packet)}
        if found["reply"] and (size := int(order.get("size", 0))):
            ping = {**packet, "protocol": "ICMP", "port": 0}
            if found["reply"] == probeframes.Reply.ECHO or await asking.ask(ping):
                found["full"] = await asking.ask({**ping, "size": size})
    except errors.WeftError as error:
        return {"error": error.what}
    except OSError as error:
        return {"error": f"no answer could be heard in the pod's network namespace: {error}"}
    return found


async def _port(ovs: str, name: str) -> tuple[int, str]:
    """The OpenFlow port and the network namespace of a logical port. Raises Unavailable."""
    session = await Session.connect(ovs)
    try:
        async with asyncio.timeout(onnode.PATIENCE):
            (found,) = await session.transact("Open_vSwitch", [_SELECTED])
    except TimeoutError:
        raise errors.Unavailable("Open vSwitch does not answer", where=ovs) from None
    finally:
        await session.close()
    for row in found["rows"]:
        ids = zone.mapped(row["external_ids"])
        bound = port.bound({"name": row["name"], "external_ids": ids})
        if bound is not None and bound.iface_id == name and type(row["ofport"]) is int:
            return row["ofport"], bound.netns
    raise errors.Unavailable("its switch has no port of the pod", where=name)


@dataclass(frozen=True, slots=True)
class _Asking:
    """What asks in a pod's name: its OpenFlow port and its network namespace."""

    ofport: int
    namespace: str
    patience: float

    async def ask(self, packet: Mapping[str, Any]) -> str:
        """What came back of a packet; "" for nothing."""
        number = _FIRST_PORT + secrets.randbelow(_LAST_PORT - _FIRST_PORT + 1)
        sequence = secrets.randbits(32)
        sock = await netns.run_inside(self.namespace, rawsocket.hearing, packet["macs"][1])
        with sock:
            for _ in range(TRIES):
                await _send(self.ofport, probeframes.request(packet, number, sequence))
                try:
                    async with asyncio.timeout(self.patience / TRIES):
                        reply = await _heard(sock, packet, number, sequence)
                except TimeoutError:
                    continue
                if reply is probeframes.Reply.OPEN:
                    await _send(self.ofport, probeframes.reset(packet, number, sequence))
                return reply
        return ""


async def _heard(sock: Any, packet: Mapping[str, Any], number: int, sequence: int) -> str:
    loop = asyncio.get_running_loop()
    for _ in range(_MOST_FRAMES):
        frame = await loop.sock_recv(sock, 65535)
        if (found := probeframes.reply(frame, packet, number, sequence)) is not None:
            return found
    return ""


async def _send(ofport: int, frame: bytes) -> None:
    text = f"in_port={ofport},packet={frame.hex()},actions=resubmit(,0)"
    argv = ("ovs-ofctl", "packet-out", onnode.BRIDGE, text)
    await process.run(argv, env={**onnode.FOLDERS, **os.environ}, timeout=onnode.PATIENCE)


def main() -> None:
    asyncio.run(attended.serve(lambda order: probe({"ovs": daemons.OVS, **order})))


if __name__ == "__main__":
    main()
