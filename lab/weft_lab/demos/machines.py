"""Reads what a demo needs of a virtual machine, and runs commands inside it.

Reading VirtualMachineInstances is pure. Commands go to the guest agent's socket, by its path
through the lab's process 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from weft_lab import layout
from weft_lab.vm import agentclient, launcher


@dataclass(frozen=True, slots=True)
class Nic:
    """`device` is its name in the guest; `network` its name in the manifest."""

    network: str
    device: str
    mac: str
    addresses: tuple[str, ...]
    model: str
    binding: str


@dataclass(frozen=True, slots=True)
class Machine:
    namespace: str
    name: str
    node: str
    nics: tuple[Nic, ...]

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    def nic(self, network: str) -> Nic | None:
        return next((nic for nic in self.nics if nic.network == network), None)

    def address(self, network: str) -> str:
        """Its IPv4 address on `network`; empty if it has none."""
        nic = self.nic(network)
        found = (text for text in (nic.addresses if nic else ()) if ip_address(text).version == 4)
        return next(found, "")


def settled(vmi: Mapping[str, Any]) -> bool:
    """Whether the guest's agent answers and reports an IPv4 address on each of its NICs."""
    conditions = (vmi.get("status") or {}).get("conditions") or ()
    if not any(c["type"] == "AgentConnected" and c["status"] == "True" for c in conditions):
        return False
    machine = read(vmi)
    return all(machine.address(nic.network) for nic in machine.nics)


def read(vmi: Mapping[str, Any]) -> Machine:
    """The machine that a VirtualMachineInstance describes."""
    meta, status = vmi["metadata"], vmi.get("status") or {}
    reported = {nic.get("name", ""): nic for nic in status.get("interfaces") or ()}
    interfaces = vmi["spec"]["domain"].get("devices", {}).get("interfaces") or ()
    nics = tuple(_nic(spec, reported.get(spec["name"], {})) for spec in interfaces)
    return Machine(meta["namespace"], meta["name"], status.get("nodeName", ""), nics)


def _nic(spec: Mapping[str, Any], seen: Mapping[str, Any]) -> Nic:
    binding = next((kind for kind in ("bridge", "masquerade") if kind in spec), "")
    addresses = seen.get("ipAddresses") or ([seen["ipAddress"]] if seen.get("ipAddress") else [])
    return Nic(
        network=spec["name"],
        device=seen.get("interfaceName", ""),
        mac=seen.get("mac", ""),
        addresses=tuple(str(text).partition("/")[0] for text in addresses),
        model=spec.get("model", "virtio"),
        binding=binding,
    )


def agent_socket(pid: int, machine: Machine) -> Path:
    """The guest agent's socket, in the lab whose process 1 is `pid` on this side."""
    inside = launcher.folder(machine.namespace, machine.name) / "agent.sock"
    return Path(f"/proc/{pid}/root") / str(layout.seen(machine.node, str(inside))).lstrip("/")


async def run(
    pid: int, machine: Machine, *argv: str, deadline: float = 30.0
) -> agentclient.Outcome:
    """Run a program in the guest to its end. Raises Unavailable if the agent does not answer."""
    async with agentclient.Agent(agent_socket(pid, machine)) as agent:
        return await agent.execute(*argv, deadline=deadline)
