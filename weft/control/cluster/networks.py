"""Which network does a NAD stand for right now, with which id?

Joins the caches of NADs and namespaces with register.py: keeps the accepted networks, gives each
an id, notes name, id and owner on the NADs, and tells their authors what is wrong. A network that
lost its last NAD stays while pods use it; a NAD that pods use is held by a finalizer, and takes no
new pods once it is being deleted. The cluster's own network has no NAD: it is there from the start
where weft serves it. What a definition means is decided in definitions.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from weft import errors, model, names
from weft.alloc import ids
from weft.control.cluster import definitions, edits
from weft.control.cluster.definitions import Definition
from weft.control.cluster.holdings import Holdings
from weft.control.cluster.notices import NEWS_OF_GUESTS, Notices
from weft.control.cluster.register import Register, Settled
from weft.kube import cache, events, queue, resources
from weft.kube.client import Client, NotFound, Object
from weft.policy import access

_KIND = resources.NADS.kind
Listener = Callable[[str], None]


class Networks:
    """`listen(function)`: function(nad key) is called when what `lookup` says may have changed;
    `await_held(function)`: when `is_held` has become true.
    """

    def __init__(
        self,
        client: Client,
        nads: cache.Cache,
        namespaces: cache.Cache,
        recorder: events.Recorder,
        holdings: Holdings,
        rules: definitions.Rules,
        primary: model.Network | None = None,
    ) -> None:
        self._client, self._nads = client, nads
        self._namespaces, self._holdings = namespaces, holdings
        self._rules = rules
        self._access = access.Rule(rules.global_namespaces, self._labels)
        self._register = Register(self._access, holdings.users)
        self.primary = primary
        self._networks = {primary.name: primary} if primary is not None else {}
        self._ids = ids.NetworkIds()
        self._no_id: dict[str, errors.Exhausted] = {}
        self._is_started = False
        self._notices = Notices(recorder)
        self._let_go: dict[str, str] = {}  # NAD: its version when its finalizer was taken off
        self._listeners: list[Listener] = []
        self._end_listeners: list[Listener] = []
        self._namespace_listeners: list[Listener] = []
        self._when_held: Listener = lambda nad: None
        self.queue = queue.Queue("NAD")

    def __len__(self) -> int:
        return len(self._networks)

    def listen(self, function: Listener) -> None:
        self._listeners.append(function)

    def listen_end(self, function: Listener) -> None:
        """function(network name) is called when a network is no more."""
        self._end_listeners.append(function)

    def listen_namespace(self, function: Listener) -> None:
        """function(namespace) is called when it may use other networks than before."""
        self._namespace_listeners.append(function)

    def await_held(self, function: Listener) -> None:
        self._when_held = function

    def start(self) -> None:
        """Once, when the NADs are synced: ids of earlier runs first, then everything else."""
        read = [self._read(nad) for nad in self._nads.objects()]
        for name, number in definitions.noted_ids(read).items():
            self._ids.reserve(name, number)
        self._namespaces.subscribe(self._on_namespace)
        self._nads.subscribe(self._on_nad)
        self._is_started = True
        self._holdings.listen(self._on_use)

    async def run(self) -> None:
        await self.queue.run(self._write, workers=4)

    def lookup(self, key: str, pod: str, *, known: bool = False) -> model.Network | None:
        """The network of a NAD for a pod; NotReady says why to wait.

        None if it is another plugin's. The key "" stands for the cluster's own. `pod` is
        "<namespace>/<name>"; `known`: it has something of it already, and keeps that when the NAD
        is deleted or its permission ends.
        """
        if not key:
            return self.primary
        network, definition = self._settled(key), self._register.get(key)
        if network is None or definition is None:
            return None
        if definition.is_deleting and not (known and self.is_held(key)):
            raise errors.NotReady(
                "is being deleted and takes no new pods",
                where=f"{_KIND} {key}",
                hint="the pod goes on when it is created again",
            )
        if not known and not self.may_use(network, access.home(pod)):
            raise self._access.refused(network, key, pod)
        return network

    def may_use(self, network: model.Network, namespace: str) -> bool:
        """Whether a namespace may use a network: its owner lets it in, or it has a NAD of it."""
        if self._access.admits(network, namespace):
            return True
        accepted = self._register.settlement(network.name).accepted
        return not accepted.isdisjoint(self._register.of_namespace(namespace))

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
        definition = self._register.get(key)
        if network is None and definition is not None and definition.accepted is not None:
            return self._networks.get(definition.accepted.name)
        return network

    def _settled(self, key: str) -> model.Network | None:
        definition = self._register.get(key)
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
        standing = self._register.standing(key)
        if definition.spec is None or standing is None:
            return None
        refusal = self._register.settlement(standing.name).refused.get(key)
        if refusal is not None:
            raise errors.NotReady(refusal)
        network = self._networks.get(standing.name)
        if network is None:
            raise self._no_id[standing.name]
        return network

    def is_held(self, key: str) -> bool:
        """Whether the NAD is sure to stay until the last of its pods has gone.

        The cluster's own network always is.
        """
        if key == names.DEFAULT_NETWORK:
            return True
        definition = self._register.get(key)
        return (
            definition is not None
            and definition.is_held
            and self._let_go.get(key) != definition.version
        )

    def get(self, name: str) -> model.Network | None:
        return self._networks.get(name)

    def release(self, name: str) -> None:
        """Nothing of the network is held any more: forget it if no NAD declares it either."""
        if name == names.DEFAULT_NETWORK or self._register.members(name):
            return
        if not self._holdings.is_used(name):
            self._networks.pop(name, None)
            self._holdings.drop(name)
            self._ids.release(name)
            self._register.forget(name)
            for listener in self._end_listeners:
                listener(name)
            for definition in self._register:
                if definition.noted_name == name:
                    self.queue.add(definition.key)  # removes its annotations

    def _labels(self, namespace: str) -> Mapping[str, str] | None:
        known = self._namespaces.get(namespace)
        return known["metadata"].get("labels") or {} if known else None

    def _read(self, obj: Object) -> Definition:
        return definitions.read(obj, self._rules)

    def _newly_read(self, old: Object | None, new: Object) -> Definition:
        """What a definition says. One that comes to a running manager was never accepted, whatever
        its annotations say: they are its author's."""
        read = self._read(new)
        is_known = old is not None and old["metadata"].get("uid") == read.uid
        return read if is_known or not self._is_started else definitions.unaccepted(read)

    def _on_namespace(self, name: str, old: Object | None, new: Object | None) -> None:
        labels = [(each or {}).get("metadata", {}).get("labels") for each in (old, new)]
        if labels[0] == labels[1] and (old is None) == (new is None):
            return
        self._heed(self._register.join(name))
        for listener in self._namespace_listeners:
            listener(name)

    def _on_nad(self, key: str, old: Object | None, new: Object | None) -> None:
        was_held, before = self.is_held(key), self._register.get(key)
        settled = self._register.put(key, self._newly_read(old, new) if new is not None else None)
        after = self._register.get(key)
        if after is None:
            self._notices.forget(key)
            self._let_go.pop(key, None)
        touched = self._heed(settled, {key})
        if before is not None and after is not None and new is not None:
            self._tell_excluded(before, after, new)
        after = self._register.get(key)  # what was accepted may just have been forgotten
        if after is not None and after.accepted and after.accepted.name not in self._networks:
            # Not in order now, but it was: pods may run with that, here or from an earlier run.
            self._remember(after.accepted)
        if key not in touched and not _alike(before, after):
            self._tell_listeners({key})
        if self.is_held(key) and not was_held:
            self._when_held(key)

    def _heed(self, settled: Settled, always: frozenset[str] | set[str] = frozenset()) -> set[str]:
        """What was settled anew is in force from now on; the NADs for which anything changed."""
        touched: set[str] = set()
        for name, earlier in settled.items():
            now, before = self._register.settlement(name), self._networks.get(name)
            if now.spec is None:
                self.release(name)
                continue
            self._remember(now.spec, now.lead)
            if now != earlier or before != self._networks.get(name):
                touched |= self._register.members(name)
        for nad in touched | always:
            self.queue.add(nad)
        self._tell_listeners(touched)
        return touched

    def _tell_listeners(self, nads: set[str]) -> None:
        for nad in nads:
            for listener in self._listeners:
                listener(nad)

    def _on_use(self, key: str) -> None:
        self._heed(self._register.look(key))
        definition = self._register.get(key)
        if definition is None:
            return
        if definition.is_deleting or self.is_held(key) != bool(self._holdings.users(key)):
            self.queue.add(key)
        for each in self._notices.naming:
            self.queue.add(each)  # the pods that its Event named may be gone

    def _remember(self, spec: model.NetworkSpec, owner: str = "") -> None:
        try:
            number = self._ids.allocate(spec.name)
            self._networks[spec.name] = model.Network(spec, number, owner)
        except errors.Exhausted as error:
            self._no_id[spec.name] = error

    async def _write(self, key: str) -> None:
        """Brings a NAD's annotations, finalizer and Events up to what is decided."""
        definition, obj = self._register.get(key), self._nads.get(key)
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
        standing = self._register.standing(key)
        if standing is not None:
            refusal = self._register.settlement(standing.name).refused.get(key)
            if refusal is not None:
                news.append(("InvalidConfig", refusal))
            else:
                network = self._networks.get(standing.name)
                if standing is not definition.spec:
                    config = definition.accepted_config
        if network is None and definition.accepted is not None:
            self.release(definition.accepted.name)
            network = self._networks.get(definition.accepted.name)
            config = definition.accepted_config
        elif network is not None and definition.noted_owner != network.owner:
            guest = self._access.guest(network, key)
            news += [(NEWS_OF_GUESTS, guest)] if guest else []
        news += [(reason, f"{_KIND} {key}: {said}") for reason, said in definition.warnings]
        self._notices.tell(key, obj, tuple(news))
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
        """Names pods that a deletion waits for, and those that an edit waits for."""
        key, accepted, said = definition.key, definition.accepted, definition.spec
        self._notices.name(
            key,
            obj,
            "NetworkInUse",
            self._holdings.users(key),
            about=definition.is_deleting,
            said=partial(edits.in_use, definition),
        )
        held_back: tuple[str, ...] = ()
        name = accepted.name if accepted else ""
        is_refused = key in self._register.settlement(name).refused
        if accepted and said and said is not self._register.standing(key) and not is_refused:
            held_back = edits.held_back(accepted, said)
        self._notices.name(
            key,
            obj,
            "EditWaits",
            self._users(name) if held_back else {},
            about=(held_back, definition.config) if held_back else None,
            said=partial(edits.waits, definition, held_back),
        )

    def _tell_excluded(self, before: Definition, after: Definition, obj: Object) -> None:
        """Names pods that have addresses of ranges which an edit gave to somebody else."""
        old, new = before.accepted, after.accepted
        if old is None or new is None or old.name != new.name:
            return
        added = set(new.exclude_subnets) - set(old.exclude_subnets)
        if added and (pods := self._holdings.within(new.name, added)):
            said = edits.excluded(after, pods.values(), len(pods))
            self._notices.recorder.emit(obj, "Warning", "AddressesExcluded", said)

    def _users(self, network: str) -> dict[str, str]:
        """The pods on a network, by whichever definition: uid to label."""
        return {
            uid: label
            for key in sorted(self._register.users(network))
            for uid, label in self._holdings.users(key).items()
        }


def _alike(before: Definition | None, after: Definition | None) -> bool:
    """Whether a NAD's own part in `lookup` is as it was."""
    if before is None or after is None:
        return before is after
    return (before.spec, before.problem, before.is_deleting) == (
        after.spec,
        after.problem,
        after.is_deleting,
    )
