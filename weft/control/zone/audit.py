"""Reports by Events what policies in audit mode would have dropped on this node.

OVN logs the first packets of such connections, at a limited rate (a meter). This module collects
them, names their pods and ports, and emits an Event on each policy that does not allow them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weft import errors, model
from weft.control.zone import state
from weft.host import checkpoint, tail
from weft.kube import resources
from weft.model import ObjectKey
from weft.ovn import acllog
from weft.policy import netpolicy
from weft.reasons import EventReason, Reason

log = logging.getLogger(__name__)

_PAUSES = (0.5, 30.0)  # seconds until a log that could not be read is tried again
GATHER = 1.0  # seconds in which packets are counted before Events are emitted
MOST = 50  # messages on one policy in an hour; all further ones become one
_HOUR = 3600.0
_PENDING = 4096  # distinct packets that are kept at once

# What emits an Event: the object, type, reason, message and how often.
Emit = Callable[[Mapping[str, Any], EventReason, str, int], None]


@dataclass(frozen=True, slots=True)
class _Ends:
    """A network's ports by MAC and by address."""

    by_mac: Mapping[str, model.Port]
    by_address: Mapping[str, model.Port]

    @classmethod
    def of(cls, ports: Iterable[model.Port]) -> _Ends:
        listed = tuple(ports)
        return cls(
            {port.allocation.mac: port for port in reversed(listed)},
            {str(held.ip): port for port in listed for held in port.allocation.addresses},
        )

    def peer(self, packet: acllog.Packet) -> model.Port | None:
        """Returns the port of the other end: by MAC on a switch, by address beyond a router."""
        mac = _own(packet, packet.target_mac, packet.source_mac)
        return self.by_mac.get(mac) or self.by_address.get(
            _own(packet, packet.target, packet.source)
        )


class Audit:
    """Follows OVN's ACL log (`run`) and emits Events. `reported` counts the packets in them."""

    def __init__(self, zone: state.Zone, emit: Emit) -> None:
        self._zone, self._emit = zone, emit
        self._seen: Counter[acllog.Packet] = Counter()
        self._sent: dict[ObjectKey, set[str]] = {}  # policy key -> sentences since the hour began
        self._hour = 0.0
        self._tail: tail.Tail | None = None
        self._checkpoint: checkpoint.Checkpoint | None = None
        self.reported = 0
        self.trouble = ""  # why nothing is reported; does not make the node unready

    async def run(self, path: str, kept: str = "") -> None:
        """Follows the log at `path` until cancelled; a missing log only sets `trouble`.

        The file `kept` stores the position up to which the log was reported, so that a restarted
        agent goes on from there.
        """
        pause, longest = _PAUSES
        self._checkpoint = checkpoint.Checkpoint(Path(kept)) if kept else None
        while path:
            began = asyncio.get_running_loop().time()
            try:
                await self._follow(Path(path))
            except (errors.Unavailable, OSError) as error:
                message = f"{path}: {error.strerror}" if isinstance(error, OSError) else str(error)
                if message != self.trouble:
                    log.warning("cannot report what policies in audit mode would drop: %s", message)
                self.trouble = message
            # The folder may be gone, or the kernel out of inotify watches: no event says when
            # that ends, so it is tried again.
            if asyncio.get_running_loop().time() - began > longest:
                pause = _PAUSES[0]
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)
        await asyncio.get_running_loop().create_future()

    async def _follow(self, path: Path) -> None:
        since = self._checkpoint.read() if self._checkpoint else None
        if self._tail is not None:
            since = self._tail.position
        self._tail = tail.Tail(path, since or tail.end(path))
        self._keep()
        async with aclosing(self._tail.lines(self._read)) as lines:
            async for line in lines:
                self.count(line)

    def _read(self) -> None:
        """Clears `trouble`: the log can be read, even if it is empty."""
        if self.trouble:
            log.info("reporting again what policies in audit mode would drop")
        self.trouble = ""

    def count(self, line: str) -> None:
        """Counts the packet in a line of the log, if it has one."""
        packet = acllog.parse(line)
        if packet is None or (packet not in self._seen and len(self._seen) >= _PENDING):
            return
        if not self._seen:
            asyncio.get_running_loop().call_later(GATHER, self.report)
        self._seen[packet] += 1

    def report(self) -> None:
        """Emits an Event for each policy and kind of packet collected."""
        seen, self._seen = self._seen, Counter()
        audited = self._zone.policies.audited()
        now = asyncio.get_running_loop().time()
        if now >= self._hour + _HOUR:
            self._hour, self._sent = now, {}
        known: dict[str, _Ends] = {}
        for packet, count in seen.items():
            group = audited.get(packet.name)
            if group is None or group.direction is not packet.direction:
                continue
            own_mac = _own(packet, packet.source_mac, packet.target_mac)
            port, policies = self._zone.policies.auditing(group, own_mac)
            if port is not None:
                if group.network not in known:
                    known[group.network] = _Ends.of(self._zone.ports_on(group.network))
                message = sentence(packet, port, known[group.network].peer(packet))
                for policy in policies:
                    self._report(policy, message, count)
        self._keep()

    def _keep(self) -> None:
        if self._checkpoint is not None and self._tail is not None:
            with suppress(OSError):  # the file was removed; the next line writes it again
                self._checkpoint.write(self._tail.position)

    def _report(self, policy: netpolicy.Policy, message: str, count: int) -> None:
        sent = self._sent.setdefault(policy.key, set())
        if message not in sent and len(sent) >= MOST:
            message = (
                f"would have dropped more than these {MOST} kinds of connections within an hour"
            )
        sent.add(message)
        self._emit(about(policy), Reason.WOULD_DROP, message, count)
        self.reported += count


def about(policy: netpolicy.Policy) -> dict[str, Any]:
    """Returns the policy as an Event's object."""
    kind = resources.MULTINETWORKPOLICIES
    meta = {"namespace": policy.namespace, "name": policy.name, "uid": policy.uid}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta}


def sentence(packet: acllog.Packet, own: model.Port, peer: model.Port | None) -> str:
    """Returns the Event's message. It leaves the client's port out: connections share one Event."""
    is_inwards = packet.direction is netpolicy.Direction.INGRESS
    source, target = (peer, own) if is_inwards else (own, peer)
    service = f"{packet.protocol} port {packet.port}" if packet.port else packet.protocol
    return (
        f"would have dropped {service} from {_end(source, packet.source or packet.source_mac)} "
        f"to {_end(target, packet.target or packet.target_mac)} on network {own.network}"
    )


def _end(port: model.Port | None, address: str) -> str:
    return f"pod {port.pod.key} ({address})" if port is not None else address


def _own(packet: acllog.Packet, source: str, target: str) -> str:
    """Returns the value of the end that the policy selects."""
    return target if packet.direction is netpolicy.Direction.INGRESS else source
