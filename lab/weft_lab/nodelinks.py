"""Makes the namespaces and links by which a lab's nodes reach each other, and keeps them.

Two bridges are in the lab's own network namespace: one for management (a veth to each node's
`eth0`), one as the underlay. A node's port to the underlay is a tap that its switch opens. This
moves it out of the node when the kernel reports it, again after each restart of the switch.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from weft_lab import layout, plan, spec
from weft_lab.runtime import links, namespaces


@dataclass(frozen=True, slots=True)
class _Kept:
    """What keeps a node's namespaces alive, and looks into them."""

    namespaces: tuple[int, ...]
    there: links.Links
    watch: links.Watch


class Wiring:
    """`wired(node)` is called each time a node's underlay is complete."""

    def __init__(self, lab: spec.Lab, wired: Callable[[str], None]) -> None:
        self._mtu = lab.mtu
        self._wired = wired
        self._here = links.Links()
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._kept: dict[str, _Kept] = {}
        self._done: dict[str, set[str]] = {}
        self._hosts: dict[str, dict[str, int]] = {}  # namespaces of each, beside the nodes
        self._here.raise_up("lo")
        api = ipaddress.IPv4Interface(f"{lab.api}/{spec.MANAGEMENT.prefixlen}")
        for bridge, mtu in ((plan.MANAGEMENT_BRIDGE, 1500), (plan.UNDERLAY_BRIDGE, lab.mtu)):
            self._here.add_bridge(bridge, mtu=mtu)
            self._here.raise_up(bridge)
        self._here.add_address(plan.MANAGEMENT_BRIDGE, api)

    def add(self, node: plan.NodeLinks) -> None:
        """Make the node's namespaces and its management link; wire its underlay when it comes."""
        kept = self._make(node.node)
        self._here.add_veth(node.veth, plan.NODE_LINK, kept["net"], mtu=1500)
        self._here.enslave(node.veth, plan.MANAGEMENT_BRIDGE)
        self._here.raise_up(node.veth)
        with namespaces.inside(layout.namespace(node.node, "net")):
            there, watch = links.Links(), links.Watch()
        there.raise_up("lo")
        there.add_address(plan.NODE_LINK, node.address)
        there.raise_up(plan.NODE_LINK)
        self._kept[node.node] = _Kept(tuple(kept.values()), there, watch)
        self._done[node.node] = set()
        asyncio.get_running_loop().add_reader(
            watch.fileno(), lambda: self._appeared(node, there, watch)
        )

    def remove(self, node: plan.NodeLinks) -> None:
        """Let go of a node of which nothing runs any more: its namespaces end, and its files."""
        kept = self._kept.pop(node.node)
        del self._done[node.node]
        asyncio.get_running_loop().remove_reader(kept.watch.fileno())
        kept.watch.close()
        kept.there.close()
        for name in (node.port, node.veth):
            with contextlib.suppress(OSError):
                self._here.remove(name)
        self._end(node.node, kept.namespaces)

    def carry_vlans(self, vlans: tuple[int, ...]) -> None:
        """The underlay's bridge learns MACs without regard to their VLAN, so where hosts are in
        VLANs it must not: a MAC may be in several."""
        self._here.set_learning(plan.UNDERLAY_BRIDGE, learns=not vlans)

    def add_host(self, host: plan.HostLinks) -> None:
        """A host that is no node: its namespaces and its one link. Nothing if it is there."""
        if host.name in self._hosts:
            return
        kept = self._hosts[host.name] = self._make(host.name)
        self._here.add_veth(host.veth, plan.NODE_LINK, kept["net"], mtu=self._mtu, mac=host.mac)
        if host.switch:
            self._here.move(host.veth, self._hosts[host.switch]["net"])
            with namespaces.inside(layout.namespace(host.switch, "net")):
                near = links.Links()
            near.raise_up(host.veth)
            near.close()
        else:
            self._here.enslave(host.veth, plan.UNDERLAY_BRIDGE)
            self._here.raise_up(host.veth)
        with namespaces.inside(layout.namespace(host.name, "net")):
            there = links.Links()
            # Addresses are the lab's to give; a wait for their uniqueness would delay the host.
            Path(f"/proc/sys/net/ipv6/conf/{plan.NODE_LINK}/accept_dad").write_text("0")
        there.raise_up("lo")
        for address in host.addresses:
            there.add_address(plan.NODE_LINK, address)
        there.send_as_wires_do(plan.NODE_LINK)
        there.raise_up(plan.NODE_LINK)
        there.close()

    def remove_host(self, host: plan.HostLinks) -> None:
        """Let go of a host of which nothing runs any more."""
        if not host.switch:  # else it ends with a namespace
            self._here.remove(host.veth)
        self._end(host.name, self._hosts.pop(host.name).values())

    def _end(self, name: str, kept: Iterable[int]) -> None:
        for descriptor in kept:
            os.close(descriptor)
        shutil.rmtree(Path(layout.node_run(name)).parent)

    def _make(self, name: str) -> dict[str, int]:
        """The namespaces of a node or host, kept alive here, each with its file."""
        run = Path(layout.node_run(name))
        for folder in layout.NODE_FOLDERS:
            (run / folder).mkdir(mode=0o755, parents=True, exist_ok=True)
        kept = namespaces.make(name, str(run), layout.NAMESPACES)
        for kind, descriptor in kept.items():
            # Mount namespaces cannot be bound to a file on every kernel; this process outlives
            # all others here, so its descriptor table serves as the place of all kinds.
            path = Path(layout.namespace(name, kind))
            path.parent.mkdir(mode=0o700, exist_ok=True)
            path.symlink_to(f"/proc/{os.getpid()}/fd/{descriptor}")
        return kept

    def _appeared(self, node: plan.NodeLinks, there: links.Links, watch: links.Watch) -> None:
        """Configure each new link, and the tunnels' link whenever somebody has set it down.

        The switch itself does: it sets a link down to change its MAC, and then restores what it
        read before. A link that was raised meanwhile stays down.
        """
        names = set(watch.appeared())
        if not names & {"", node.tunnel, node.port}:
            return
        present = there.present()
        done = before = self._done[node.node]
        for name in (node.tunnel, node.port):
            link = present.get(name)
            if link is None:
                continue
            key = f"{name}#{link.index}"
            if key in done and (link.up or name == node.port):
                continue
            # The switch may remove a link at this moment; the kernel reports the next one.
            with contextlib.suppress(OSError):
                if name == node.tunnel:
                    there.add_address(name, node.tunnel_address)
                    there.send_as_wires_do(name)
                    there.raise_up(name)
                else:
                    self._take_port(node, there)
                done = {one for one in done if not one.startswith(f"{name}#")} | {key}
        self._done[node.node] = done
        if len(done) == 2 and done != before:
            self._wired(node.node)

    def _take_port(self, node: plan.NodeLinks, there: links.Links) -> None:
        """Move the node's port to the lab's underlay bridge."""
        # Taps outlive the switch that made them; the old one has no process.
        if node.port in self._here.present():
            self._here.remove(node.port)
        there.move(node.port, self._home)
        self._here.set_mtu(node.port, self._mtu)
        self._here.enslave(node.port, plan.UNDERLAY_BRIDGE)
        self._here.knows(node.port, node.mac)
        self._here.raise_up(node.port)
