"""Collects the names of the members of networks with `dnsRecords`, apart from their ports.

No I/O. Each edit of OVN's records makes northd compute again what grows with all records (ADR
0109). So changes wait until `release`, and no port waits for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from weft import model, rows
from weft.control.zone.objects import AllocatedPod
from weft.model import ObjectKey
from weft.ovn import dns

# Seconds in which changes of names are collected before they are written.
QUIET = 1.0


class DnsRecords:
    """The networks whose records may have changed.

    `ports` are those of each network, `network` finds a network by name.
    """

    def __init__(
        self,
        ports: Mapping[str, Mapping[str, model.Port]],
        pods: Mapping[ObjectKey, AllocatedPod],
        network: Callable[[str], model.Network | None],
    ) -> None:
        self._ports, self._pods, self._network = ports, pods, network
        self._collected: set[str] = set()  # to be released
        self._due: set[str] = set()

    def __len__(self) -> int:
        """How many networks have records to write now."""
        return len(self._due)

    @property
    def is_collecting(self) -> bool:
        """Whether something waits for `release`."""
        return bool(self._collected)

    def note(self, network: str) -> None:
        """The members of a network may have changed."""
        found = self._network(network)
        if found is not None and found.spec.dns_records:
            self._collected.add(network)

    def release(self) -> None:
        """Puts what was collected into the next changes."""
        self._due |= self._collected
        self._collected.clear()

    def changes(self, is_realised: Callable[[str], bool]) -> list[rows.Row]:
        """Returns the records that were released since the last call."""
        due, self._due = self._due, set()
        return list(self.desired(filter(is_realised, sorted(due))))

    def desired(self, networks: Iterable[str]) -> Iterator[rows.Row]:
        """Yields the records of those networks, realised here, that have some."""
        for name in networks:
            network = self._network(name)
            if network is not None and network.spec.dns_records:
                yield dns.records_of(network, self._members(network))

    def forget(self) -> None:
        """Drops what is pending; for callers of `desired`."""
        self._collected.clear()
        self._due.clear()

    def _members(self, network: model.Network) -> Iterator[dns.NamedMember]:
        """Yields the members; of two with one name, one of the owner's namespace comes first."""
        home = network.owner.namespace if network.owner is not None else ""
        for port in self._ports.get(network.name, {}).values():
            held = self._pods.get(port.pod.key)
            if held is None:
                continue
            pod = held.pod
            yield dns.NamedMember(
                name=pod.machine or pod.ref.name,
                namespace=pod.ref.namespace,
                addresses=tuple(each.ip for each in port.allocation.addresses),
                rank=(pod.ref.namespace != home, pod.created, pod.ref.key, port.key),
                hostname=pod.hostname,
            )
