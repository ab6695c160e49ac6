"""Decides which NADs declare which network in a zone, which of them leads, and who may use it.

No I/O. A network is what the NAD of least `age` declares, and that NAD owns it. A NAD that is
annotated as the owner stays it while it has that annotation. A second NAD with such an annotation,
whoever wrote it, waits until the cluster manager has decided between the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from weft import model, names
from weft.api import podnetworks
from weft.control import index
from weft.control.zone import topologies
from weft.control.zone.objects import AllocatedPod
from weft.model import ObjectKey
from weft.policy import access
from weft.policy.networkqos import UNMARKED, NadMarks

# Stands for the NAD of the default network, which has none.
DEFAULT = ObjectKey("", names.DEFAULT_NETWORK)
# The first part of an age.
OWNER, FOLLOWER = "1", "2"


@dataclass(frozen=True, slots=True)
class DeclaredNetwork:
    """A network as one NAD declares it; of several NADs, the one of least `age` counts."""

    network: model.Network
    age: tuple[str, ...] = ()
    marks: NadMarks = UNMARKED


class ZoneNetworks:
    """The NADs and namespaces of a zone; all namespaces may use NADs of `global_namespaces`."""

    def __init__(self, global_namespaces: frozenset[str]) -> None:
        self._declared: dict[ObjectKey, DeclaredNetwork] = {}  # by NAD key
        self._same_name: dict[str, set[ObjectKey]] = {}  # network name -> its NAD keys
        self._leads: dict[str, ObjectKey] = {}  # network name -> the NAD that says what it is
        self._labels: dict[str, Mapping[str, str]] = {}  # by namespace
        self._rule = access.AccessRule(global_namespaces, self._labels.get)

    def get(self, nad: ObjectKey) -> DeclaredNetwork | None:
        return self._declared.get(nad)

    def marks(self, nad: ObjectKey) -> tuple[str, NadMarks]:
        """Returns the network that a NAD declares, "" for none, and by what the NAD is selected."""
        declared = self._declared.get(nad)
        if declared is None:
            return "", UNMARKED
        name = declared.network.name
        return name, replace(declared.marks, leads=self._leads.get(name) == nad)

    def set(self, nad: ObjectKey, declared: DeclaredNetwork | None) -> set[ObjectKey]:
        """Sets what a NAD declares (None: nothing), and chooses the network's leader again.

        Returns the NADs whose `marks` may have changed.
        """
        old = self._declared.pop(nad, None)
        if old is not None:
            index.discard(self._same_name, old.network.name, nad)
        if declared is not None:
            self._same_name.setdefault(declared.network.name, set()).add(nad)
            self._declared[nad] = declared
        leads = {nad}
        for name in {each.network.name for each in (old, declared) if each is not None}:
            leads |= {each for each in (self._leads.get(name), self._elect(name)) if each}
        return leads

    def _elect(self, name: str) -> ObjectKey | None:
        """Chooses and returns the leading NAD of a network."""
        nads, before = self._same_name.get(name, set()), self._leads.pop(name, None)
        if not nads:
            return None
        best = min((self._declared[nad].age, nad) for nad in nads)[1]
        is_owner = before in nads and self._declared[before].age[:1] == (OWNER,)
        self._leads[name] = lead = before if before is not None and is_owner else best
        return lead

    def set_namespace(self, name: str, labels: Mapping[str, str] | None) -> bool:
        """Sets a namespace's labels (None: it is gone); returns whether they changed."""
        before = self._labels.get(name)
        if labels is None:
            self._labels.pop(name, None)
        else:
            self._labels[name] = labels
        return before != labels

    def of(self, network: str) -> frozenset[ObjectKey]:
        """Returns the keys of the NADs of a network."""
        return frozenset(self._same_name.get(network, ()))

    def network(self, name: str) -> model.Network | None:
        """Returns the network as its leading NAD declares it; None if weft cannot realise it."""
        network = self._led(name)
        return network if network and network.spec.topology in topologies.KNOWN else None

    def _led(self, name: str) -> model.Network | None:
        lead = self._leads.get(name)
        return self._declared[lead].network if lead else None

    def standing(self, name: str) -> tuple[ObjectKey | None, model.Access] | None:
        """Returns the owner of a network, and the access that it grants."""
        network = self._led(name)
        return (network.owner, network.spec.access) if network else None

    def may_use(self, nad: ObjectKey, namespace: str) -> bool:
        """Whether pods of a namespace may be attached through a NAD."""
        declared = self._declared.get(nad)
        network = self._led(declared.network.name) if declared else None
        return network is not None and self._lets(network, namespace)

    def ports(self, held: AllocatedPod | None) -> Iterator[model.Port]:
        """Yields the ports of a pod's allocations: on networks that are known and that the pod may
        use, or runs with already."""
        if held is None:
            return
        pod = held.pod
        hostname = (pod.hostname or pod.machine) if pod.machine else ""
        for attachment, allocation in held.allocations.items():
            nad = nad_of(attachment)
            declared = self._declared.get(nad)
            if declared is None or not allocation.mac:
                continue
            if pod.is_running or self.may_use(nad, pod.ref.namespace):
                name = declared.network.name
                to = pod.ref, attachment, nad, name, pod.node, allocation
                yield model.Port(*to, hostname)

    def check(self, nad: ObjectKey, network: str, pod: ObjectKey) -> None:
        """Raises NotReady, with the remedy, if the pod may not be attached through a NAD.

        `network` is the name in the NAD, whether the cluster manager accepted it or not.
        """
        declared = self._declared.get(nad)
        led = self._led(declared.network.name if declared else network)
        if led is not None and not self._lets(led, pod.namespace):
            raise self._rule.pod_refusal(led, nad, pod)

    def _lets(self, network: model.Network, namespace: str) -> bool:
        """Whether the owner admits a namespace, or the namespace has a NAD of the network."""
        return self._rule.admits(network, namespace) or any(
            nad.namespace == namespace and self._rule.may_join(network, nad)
            for nad in self._same_name.get(network.name, ())
        )


def nad_of(attachment: str) -> ObjectKey:
    """Returns the NAD by which a zone knows the network of an attachment, by its key."""
    return podnetworks.nad_of(attachment) or DEFAULT


def concerned(pod: model.PodRef, attachments: Iterable[str]) -> set[str]:
    """Returns the namespaces whose labels decide about a pod's networks: its own, its NADs'."""
    homes = {nad.namespace for nad in map(podnetworks.nad_of, attachments) if nad is not None}
    return {*homes, pod.namespace} if homes else set()
