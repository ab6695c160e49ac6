"""Which network does a NAD stand for right now, with which id?

Joins the cache of NADs with definitions.py: keeps the accepted networks, gives each an id, notes
name and id on the NADs, and tells their authors what is wrong. A network that lost its last NAD
stays while pods use it; a NAD that pods use is held by a finalizer, and takes no new pods once
it is being deleted. The cluster's own network has no NAD: it is there from the start where weft
serves it. What a definition means is decided in definitions.py.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

from weft import errors, model, names
from weft.alloc import ids
from weft.control.cluster import definitions
from weft.control.cluster.definitions import Definition, Settlement
from weft.control.cluster.holdings import Holdings
from weft.kube import cache, events, queue, resources
from weft.kube.client import Client, NotFound, Object

_KIND = resources.NADS.kind
_NAMED = 10  # pods that one Event names
Listener = Callable[[str], None]


class Networks:
    """`listen(function)`: function(nad key) is called when what `lookup` says may have changed;
    `await_held(function)`: when `is_held` has become true.
    """

    def __init__(
        self,
        client: Client,
        nads: cache.Cache,
        recorder: events.Recorder,
        holdings: Holdings,
        rules: definitions.Rules,
        primary: model.Network | None = None,
    ) -> None:
        self._client, self._nads, self._recorder = client, nads, recorder
        self._holdings = holdings
        self._rules = rules
        self._definitions: dict[str, Definition] = {}
        self._members: dict[str, set[str]] = {}
        self._settlements: dict[str, Settlement] = {}
        self.primary = primary
        self._networks = {primary.name: primary} if primary is not None else {}
        self._ids = ids.NetworkIds()
        self._no_id: dict[str, errors.Exhausted] = {}
        self._told: dict[str, tuple[tuple[str, str], ...]] = {}
        self._named: dict[str, frozenset[str]] = {}  # NAD: uids of those it was said to wait for
        self._let_go: dict[str, str] = {}  # NAD: its version when its finalizer was taken off
        self._listeners: list[Listener] = []
        self._end_listeners: list[Listener] = []
        self._when_held: Listener = lambda nad: None
        self.queue = queue.Queue("NAD")

    def __len__(self) -> int:
        return len(self._networks)

    def listen(self, function: Listener) -> None:
        self._listeners.append(function)

    def listen_end(self, function: Listener) -> None:
        """function(network name) is called when a network is no more."""
        self._end_listeners.append(function)

    def await_held(self, function: Listener) -> None:
        self._when_held = function

    def start(self) -> None:
        """Once, when the NADs are synced: ids of earlier runs first, then everything else."""
        read = [self._read(nad) for nad in self._nads.objects()]
        for name, number in definitions.noted_ids(read).items():
            self._ids.reserve(name, number)
        self._nads.subscribe(self._on_nad)
        self._holdings.listen(self._on_use)

    async def run(self) -> None:
        await self.queue.run(self._write, workers=4)

    def lookup(self, key: str, *, known: bool = False) -> model.Network | None:
        """The network of a NAD; None if it is another plugin's; NotReady says why to wait.

        The key "" stands for the cluster's own. `known`: for who has something of it already, and
        keeps that when the NAD is deleted.
        """
        if not key:
            return self.primary
        network, definition = self._settled(key), self._definitions[key]
        if network is not None and definition.is_deleting and not (known and self.is_held(key)):
            raise errors.NotReady(
                "is being deleted and takes no new pods",
                where=f"{_KIND} {key}",
                hint="the pod goes on when it is created again",
            )
        return network

    def find(self, key: str) -> model.Network | None:
        """The network that pods which were attached through a NAD are on, None if on none.

        One whose definition was broken since is still on what was accepted before.
        """
        if not key:
            return self.primary
        try:
            network = self._settled(key)
        except errors.WeftError:
            network = None
        definition = self._definitions.get(key)
        if network is None and definition is not None and definition.accepted is not None:
            return self._networks.get(definition.accepted.name)
        return network

    def _settled(self, key: str) -> model.Network | None:
        definition = self._definitions.get(key)
        if definition is None:
            raise errors.NotReady(
                "does not exist", where=f"{_KIND} {key}", hint="the pod goes on when it is created"
            )
        if definition.problem:
            raise errors.NotReady(
                f"is invalid: {definition.problem}",
                where=f"{_KIND} {key}",
                hint="the pod goes on when it is corrected",
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

    def is_held(self, key: str) -> bool:
        """Whether the NAD is sure to stay until the last of its pods has gone.

        The cluster's own network always is.
        """
        if key == names.DEFAULT_NETWORK:
            return True
        definition = self._definitions.get(key)
        return (
            definition is not None
            and definition.is_held
            and self._let_go.get(key) != definition.version
        )

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
            for listener in self._end_listeners:
                listener(name)
            for key, definition in self._definitions.items():
                if definition.noted_name == name:
                    self.queue.add(key)  # its notes are to go

    def _read(self, obj: Object) -> Definition:
        return definitions.read(obj, self._rules)

    def _on_nad(self, key: str, old: Object | None, new: Object | None) -> None:
        was_held = self.is_held(key)
        before = self._definitions.pop(key, None)
        after = self._read(new) if new is not None else None
        if after is not None:
            self._definitions[key] = after
        else:
            for kept in (self._told, self._named, self._let_go):
                kept.pop(key, None)
        touched = {key}
        for definition in (before, after):
            if definition is not None and definition.spec is not None:
                members = self._members.setdefault(definition.spec.name, set())
                (members.add if definition is after else members.discard)(key)
        for definition in (before, after):
            if definition is not None and definition.spec is not None:
                touched |= self._resettle(definition.spec.name)
        if after is not None and after.accepted and after.accepted.name not in self._networks:
            # Not in order now, but it was: pods may run with that, here or from an earlier run.
            self._remember(after.accepted)
        for nad in touched:
            self.queue.add(nad)
            if nad != key or not _alike(before, after):
                for listener in self._listeners:
                    listener(nad)
        if self.is_held(key) and not was_held:
            self._when_held(key)

    def _on_use(self, key: str) -> None:
        definition = self._definitions.get(key)
        if definition is not None and (
            definition.is_deleting or self.is_held(key) != bool(self._holdings.users(key))
        ):
            self.queue.add(key)

    def _resettle(self, name: str) -> set[str]:
        """Decides anew who is accepted; the NADs for which anything changed."""
        members = self._members.get(name, set())
        earlier = self._settlements.get(name, Settlement())
        settled = definitions.settle((self._definitions[key] for key in members), earlier.accepted)
        if settled.spec is None:
            self._members.pop(name, None)
            self._settlements.pop(name, None)
            self.release(name)
            return set()
        self._settlements[name] = settled
        before = self._networks.get(name)
        self._remember(settled.spec)
        unchanged = settled == earlier and before == self._networks.get(name)
        return set() if unchanged else set(members)

    def _remember(self, spec: model.NetworkSpec) -> None:
        try:
            self._networks[spec.name] = model.Network(spec, self._ids.allocate(spec.name))
        except errors.Exhausted as error:
            self._no_id[spec.name] = error

    async def _write(self, key: str) -> None:
        """Brings a NAD's annotations, finalizer and Events up to what is decided."""
        definition, obj = self._definitions.get(key), self._nads.get(key)
        if definition is None or obj is None:
            return
        meta: dict[str, Any] = {}
        meta |= self._notes(definition, obj)
        self._tell_users(definition, obj)
        meta |= self._hold(definition)
        if not meta:
            return
        body = {"metadata": {"uid": definition.uid, **meta}}
        namespace, name = resources.split_key(key)
        try:
            await self._client.patch(resources.NADS, name, namespace, body)
        except NotFound:
            return  # deleted meanwhile: the cache is about to say so
        if names.NETWORK_IN_USE in meta.get("finalizers", ()) and definition.is_held:
            # It was not known whether the finalizer was off already: it is not.
            self._let_go.pop(key, None)
            self._when_held(key)

    def _notes(self, definition: Definition, obj: Object) -> dict[str, Any]:
        key, network, config, news = definition.key, None, definition.config, []
        if definition.problem:
            said = f"Failed to parse network config: {_KIND} {key}: {definition.problem}"
            news.append(("InvalidConfig", said))
        if definition.spec is not None:
            settled = self._settlements[definition.spec.name]
            if key in settled.refused:
                news.append(("InvalidConfig", settled.refused[key]))
            else:
                network = self._networks.get(definition.spec.name)
        if network is None and definition.accepted is not None:
            self.release(definition.accepted.name)
            network = self._networks.get(definition.accepted.name)
            config = definition.noted_config
        news += [(reason, f"{_KIND} {key}: {said}") for reason, said in definition.warnings]
        self._tell(key, obj, tuple(news))
        notes = definitions.wanted_notes(definition, network, config)
        return {"annotations": notes} if notes else {}

    def _hold(self, definition: Definition) -> dict[str, Any]:
        """The finalizer's part of a patch, which is for the NAD as it was seen and no other.

        Once the finalizer is being taken off, the NAD counts as let go until it is seen anew.
        """
        key, used = definition.key, bool(self._holdings.users(definition.key))
        wanted = definitions.wanted_finalizers(definition, used=used)
        if wanted is None and used and definition.is_held and not self.is_held(key):
            wanted = list(definition.finalizers)
        if wanted is None:
            return {}
        if not used:
            self._let_go[key] = definition.version
        return {"finalizers": wanted, "resourceVersion": definition.version}

    def _tell_users(self, definition: Definition, obj: Object) -> None:
        """Names some of the pods that a deletion waits for; others when all of those are gone."""
        users = self._holdings.users(definition.key)
        if not (definition.is_deleting and users):
            self._named.pop(definition.key, None)
        elif not self._named.get(definition.key, frozenset()) & users.keys():
            some = dict(islice(users.items(), _NAMED))
            self._named[definition.key] = frozenset(some)
            said = definitions.in_use(definition, list(some.values()), len(users) - len(some))
            self._recorder.emit(obj, "Warning", "NetworkInUse", said)

    def _tell(self, key: str, obj: Object, news: tuple[tuple[str, str], ...]) -> None:
        """Events, with reason and message, of what was not said last time."""
        before = self._told.get(key, ())
        self._told[key] = news
        for reason, said in news:
            if (reason, said) not in before:
                self._recorder.emit(obj, "Warning", reason, said)


def _alike(before: Definition | None, after: Definition | None) -> bool:
    """Whether a NAD's own part in `lookup` is as it was."""
    if before is None or after is None:
        return before is after
    return (before.spec, before.problem, before.is_deleting) == (
        after.spec,
        after.problem,
        after.is_deleting,
    )
