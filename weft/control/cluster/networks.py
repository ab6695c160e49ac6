"""Which network does a NAD stand for right now, with which id?

Joins the cache of NADs with definitions.py: keeps the accepted networks, gives each an id, notes
name and id on the NADs, and tells their authors what is wrong. A network that lost its last NAD
stays while pods use it. The cluster's own network has no NAD: it is there from the start where
weft serves it. What a definition means is decided in definitions.py.
"""

from __future__ import annotations

from collections.abc import Callable

from weft import errors, model, names
from weft.alloc import ids
from weft.control.cluster import definitions
from weft.control.cluster.definitions import Definition, Settlement
from weft.control.cluster.holdings import Holdings
from weft.kube import cache, events, queue, resources
from weft.kube.client import Client, NotFound, Object

_KIND = resources.NADS.kind
Listener = Callable[[str], None]


class Networks:
    """`listen(function)`: function(nad key) is called when what `lookup` says may have changed."""

    def __init__(
        self,
        client: Client,
        nads: cache.Cache,
        recorder: events.Recorder,
        holdings: Holdings,
        *,
        default_mtu: int,
        underlay_mtu: int,
        primary: model.Network | None = None,
    ) -> None:
        self._client, self._nads, self._recorder = client, nads, recorder
        self._holdings = holdings
        self._default_mtu, self._underlay_mtu = default_mtu, underlay_mtu
        self._definitions: dict[str, Definition] = {}
        self._members: dict[str, set[str]] = {}
        self._settlements: dict[str, Settlement] = {}
        self.primary = primary
        self._networks = {primary.name: primary} if primary is not None else {}
        self._ids = ids.NetworkIds()
        self._no_id: dict[str, errors.Exhausted] = {}
        self._told: dict[str, tuple[str, str]] = {}
        self._listeners: list[Listener] = []
        self._mourners: list[Listener] = []
        self.queue = queue.Queue("NAD")

    def __len__(self) -> int:
        return len(self._networks)

    def listen(self, function: Listener) -> None:
        self._listeners.append(function)

    def listen_end(self, function: Listener) -> None:
        """function(network name) is called when a network is no more."""
        self._mourners.append(function)

    def start(self) -> None:
        """Once, when the NADs are synced: ids of earlier runs first, then everything else."""
        read = [self._read(nad) for nad in self._nads.objects()]
        for name, number in definitions.noted_ids(read).items():
            self._ids.reserve(name, number)
        self._nads.subscribe(self._on_nad)

    async def run(self) -> None:
        await self.queue.run(self._write, workers=4)

    def lookup(self, key: str) -> model.Network | None:
        """The network of a NAD; None if it is another plugin's; NotReady says why to wait.

        The key "" stands for the cluster's own.
        """
        if not key:
            return self.primary
        definition = self._definitions.get(key)
        if definition is None:
            raise errors.NotReady(
                "does not exist", where=f"{_KIND} {key}", hint="the pod goes on when it is created"
            )
        if definition.problem:
            raise errors.NotReady(
                "is invalid", where=f"{_KIND} {key}", hint=f"correct it: {definition.problem}"
            )
        if definition.spec is None:
            return None
        refusal = self._settlements[definition.spec.name].refused.get(key)
        if refusal is not None:
            raise errors.NotReady(refusal)
        network = self._networks.get(definition.spec.name)
        if network is None:
            raise self._no_id[definition.spec.name]
        return network

    def find(self, key: str) -> model.Network | None:
        """The network of a NAD if it is in order, None for whatever reason otherwise."""
        try:
            return self.lookup(key)
        except errors.WeftError:
            return None

    def get(self, name: str) -> model.Network | None:
        return self._networks.get(name)

    def release(self, name: str) -> None:
        """Nothing of the network is held any more: forget it if no NAD declares it either."""
        if name == names.DEFAULT_NETWORK or self._members.get(name):
            return
        if not self._holdings.is_used(name):
            self._networks.pop(name, None)
            self._holdings.drop(name)
            self._ids.release(name)
            for listener in self._mourners:
                listener(name)

    def _read(self, obj: Object) -> Definition:
        own = self.primary.spec.subnets if self.primary else ()
        return definitions.read(
            obj,
            default_mtu=self._default_mtu,
            underlay_mtu=self._underlay_mtu,
            reserved=[("the cluster's own network", subnet) for subnet in own],
        )

    def _on_nad(self, key: str, old: Object | None, new: Object | None) -> None:
        before = self._definitions.pop(key, None)
        after = self._read(new) if new is not None else None
        if after is not None:
            self._definitions[key] = after
        else:
            self._told.pop(key, None)
        touched = {key}
        for definition in (before, after):
            if definition is not None and definition.spec is not None:
                members = self._members.setdefault(definition.spec.name, set())
                (members.add if definition is after else members.discard)(key)
        for definition in (before, after):
            if definition is not None and definition.spec is not None:
                touched |= self._resettle(definition.spec.name)
        for nad in touched:
            self.queue.add(nad)
            if nad != key or not _alike(before, after):
                for listener in self._listeners:
                    listener(nad)

    def _resettle(self, name: str) -> set[str]:
        """Decides anew who is accepted; the NADs for which anything changed."""
        members = self._members.get(name, set())
        earlier = self._settlements.get(name, Settlement())
        settled = definitions.settle(self._definitions[key] for key in members)
        if settled.spec is None:
            self._members.pop(name, None)
            self._settlements.pop(name, None)
            self.release(name)
            return set()
        self._settlements[name] = settled
        before = self._networks.get(name)
        try:
            self._networks[name] = model.Network(settled.spec, self._ids.allocate(name))
        except errors.Exhausted as error:
            self._no_id[name] = error
        unchanged = settled == earlier and before == self._networks.get(name)
        return set() if unchanged else set(members)

    async def _write(self, key: str) -> None:
        """Brings a NAD's annotations and Events up to what is decided."""
        definition, obj = self._definitions.get(key), self._nads.get(key)
        if definition is None or obj is None:
            return
        network, refusal = None, ""
        if definition.spec is not None:
            name = definition.spec.name
            refusal = self._settlements[name].refused.get(key, "")
            network = None if refusal else self._networks.get(name)
        elif not definition.problem:
            return  # another plugin's: not ours to write to
        self._tell(key, obj, definition.problem or refusal, definition.warning)
        notes = definitions.wanted_notes(definition, network)
        if notes:
            meta = obj["metadata"]
            body = {"metadata": {"uid": meta["uid"], "annotations": notes}}
            try:
                await self._client.patch(resources.NADS, meta["name"], meta["namespace"], body)
            except NotFound:
                pass  # deleted meanwhile: the cache is about to say so

    def _tell(self, key: str, obj: Object, problem: str, warning: str) -> None:
        if self._told.get(key, ("", "")) == (problem, warning):
            return
        self._told[key] = (problem, warning)
        if problem:
            self._recorder.emit(obj, "Warning", "InvalidConfig", problem)
        if warning:
            self._recorder.emit(obj, "Warning", "MTUTooLarge", warning)


def _alike(before: Definition | None, after: Definition | None) -> bool:
    """Whether a NAD's own part in `lookup` is as it was."""
    if before is None or after is None:
        return before is after
    return (before.spec, before.problem) == (after.spec, after.problem)
