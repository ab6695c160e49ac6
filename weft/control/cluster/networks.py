"""Decides which network a NAD stands for, with which id, and what is written to the NAD.

Pure. Keeps the accepted networks (with `register.py`), gives each an id, and decides the
annotations, finalizer and Events of NADs. A network that lost its last NAD stays while pods use it.
A NAD that pods use has a finalizer, and takes no new pods once it is deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial

from weft import errors, model, names
from weft.alloc import ids
from weft.control.cluster import edits, nads
from weft.control.cluster.affected import Affected as Affected
from weft.control.cluster.allocations import Allocations
from weft.control.cluster.nadevents import Messages, NadEvents
from weft.control.cluster.nads import Nad
from weft.control.cluster.objects import Namespace
from weft.control.cluster.outcome import NOTHING, Event, Outcome, Patch
from weft.control.cluster.register import Register, Settled
from weft.control.cluster.settlements import NetworkOf, by_hand
from weft.control.cluster.vlans import Vlans
from weft.kube import resources
from weft.model import ObjectKey
from weft.policy import access
from weft.reasons import Reason

_KIND = resources.NADS.kind


class Networks:
    """All networks. `due`: the NADs to decide, and after how many seconds."""

    def __init__(
        self,
        allocations: Allocations,
        rules: nads.Rules,
        primary: model.Network | None = None,
        network_of: NetworkOf = by_hand,
    ) -> None:
        self._allocations = allocations
        self._namespaces: dict[str, Namespace] = {}
        self._access = access.AccessRule(rules.global_namespaces, self._labels)
        self._register = Register(self._access, allocations, network_of)
        self.primary = primary
        self._networks = {primary.name: primary} if primary is not None else {}
        self._ids = ids.NetworkIds()
        self._no_id: dict[str, errors.Exhausted] = {}
        self._events, self._vlans = NadEvents(), Vlans()
        self._excluded: dict[ObjectKey, list[Event]] = {}
        self._let_go: dict[ObjectKey, str] = {}  # NAD: its version when its finalizer was taken off
        self.due: dict[ObjectKey, float] = {}
        self.affected = Affected()

    def __len__(self) -> int:
        return len(self._networks)

    def take_affected(self) -> Affected:
        """Returns and clears what other parts of the state must take in."""
        affected, self.affected = self.affected, Affected()
        return affected

    # What others ask

    def lookup(
        self, key: ObjectKey | None, pod: ObjectKey | None = None, *, known: bool = False
    ) -> model.Network | None:
        """Returns the network of a NAD for a pod; raises NotReady where the pod must wait.

        None if it is another plugin's. The key None stands for the default network. `pod` None:
        any pod that may use it. `known`: the pod has an allocation already, and keeps it when the
        NAD is deleted or the access ends.
        """
        if key is None:
            return self.primary
        network, nad = self._settled(key), self._register.get(key)
        if network is None or nad is None:
            return None
        if nad.is_deleting and not (known and self.is_held(key)):
            raise errors.NotReady(
                "is being deleted and takes no new pods",
                where=f"{_KIND} {key}",
                hint="the pod goes on when it is created again",
            )
        if pod is not None and not known and not self.may_use(network, pod.namespace):
            raise self._access.pod_refusal(network, key, pod)
        return network

    def may_use(self, network: model.Network, namespace: str) -> bool:
        """Whether a namespace may use a network: the owner admits it, or it has a NAD of it."""
        if self._access.admits(network, namespace):
            return True
        accepted = self._register.settlement(network.name).accepted
        return not accepted.isdisjoint(self._register.of_namespace(namespace))

    def find(self, key: ObjectKey | None) -> model.Network | None:
        """Returns the network of pods that were attached through a NAD; None if on none.

        If the NAD is invalid now, that is the network that was accepted before.
        """
        if key is None:
            return self.primary
        try:
            network = self._settled(key)
        except errors.WeftError:
            network = None
        nad = self._register.get(key)
        if network is None and nad is not None and nad.accepted is not None:
            return self._networks.get(nad.accepted.name)
        return network

    def _settled(self, key: ObjectKey) -> model.Network | None:
        nad = self._register.get(key)
        if nad is None:
            raise errors.NotReady(
                "does not exist", where=f"{_KIND} {key}", hint="the pod goes on when it is created"
            )
        if nad.problem:
            raise errors.NotReady(
                f"is invalid: {nad.problem}",
                where=f"{_KIND} {key}",
                hint="the pod goes on when it is corrected",
            )
        standing = self._register.standing(key)
        if nad.spec is None or standing is None:
            return None
        refusal = self._register.settlement(standing.name).refused.get(key)
        if refusal is not None:
            raise errors.NotReady(refusal)
        network = self._networks.get(standing.name)
        if network is None:
            raise self._no_id[standing.name]
        return network

    def is_held(self, key: ObjectKey | None) -> bool:
        """Whether weft's finalizer holds the NAD; always true for the default network (None)."""
        if key is None:
            return True
        nad = self._register.get(key)
        return nad is not None and nad.is_held and self._let_go.get(key) != nad.version

    def get(self, name: str) -> model.Network | None:
        """Returns the network of a name, None if there is none."""
        return self._networks.get(name)

    def names(self) -> frozenset[str]:
        """Returns the names of all networks, and those that NADs declare in vain."""
        return frozenset(self._networks) | self._register.networks()

    def nad(self, key: ObjectKey) -> Nad | None:
        """Returns a NAD, None if it is unknown."""
        return self._register.get(key)

    def nads_of(self, name: str) -> frozenset[ObjectKey]:
        """Returns the NADs that declare a network or were accepted for it."""
        return self._register.users(name)

    def named_by(self, key: ObjectKey) -> set[str]:
        """Returns the networks that a NAD declares, stands for, or was accepted for."""
        nad = self._register.get(key)
        if nad is None:
            return set()
        found = (nad.spec, nad.accepted, self._register.standing(key))
        return {spec.name for spec in found if spec is not None}

    def refusal(self, name: str, key: ObjectKey) -> str:
        """Returns why a NAD does not count for a network, "" if it does."""
        return self._register.settlement(name).refused.get(key, "")

    def lacking(self, name: str) -> str:
        """Returns why a network has no id, "" if it has one."""
        error = self._no_id.get(name)
        return error.in_full() if error is not None else ""

    def held_back(self, nad: Nad) -> tuple[str, ...]:
        """Returns the keys of a NAD's edit that waits for pods; none if no edit waits."""
        accepted, declared = nad.accepted, nad.spec
        if not accepted or not declared or declared is self._register.standing(nad.key):
            return ()
        if nad.key in self._register.settlement(accepted.name).refused:
            return ()
        return edits.held_back(accepted, declared)

    def users(self, network: str) -> dict[str, str]:
        """Returns the pods on a network, through any NAD: uid to label."""
        return {
            uid: label
            for key in sorted(self._register.users(network))
            for uid, label in self._allocations.users(key).items()
        }

    def release(self, name: str) -> None:
        """Forgets a network if no NAD declares it and nothing of it is held."""
        if name == names.DEFAULT_NETWORK or self._register.declaring(name):
            return
        if not self._allocations.ledgers.is_used(name):
            self._networks.pop(name, None)
            self._allocations.ledgers.drop(name)
            self._ids.release(name)
            self._no_id.pop(name, None)
            self._vlans.set(name, None)
            self._register.forget(name)
            self.affected.ended.append(name)
            for nad in self._register:
                if nad.annotated_name == name:
                    self.due[nad.key] = 0.0  # removes its annotations
            if (waiting := next(iter(self._no_id), None)) is not None:
                self._apply({waiting: self._register.settlement(waiting)})

    def _labels(self, namespace: str) -> Mapping[str, str] | None:
        known = self._namespaces.get(namespace)
        return known.labels if known else None

    # Objects in

    def reserve_ids(self, found: Iterable[Nad]) -> None:
        """Takes over the ids of earlier managers. Call before the first NAD is set."""
        for name, number in nads.annotated_ids(found).items():
            self._ids.reserve(name, number)

    def set_namespace(self, name: str, new: Namespace | None) -> None:
        """Sets a namespace; None: it is gone."""
        old = self._namespaces.pop(name, None)
        if new is not None:
            self._namespaces[name] = new
        if (old is None) == (new is None) and (not old or not new or old.labels == new.labels):
            return
        self._apply(self._register.join(name))
        self.affected.namespaces[name] = None

    def set_nad(self, key: ObjectKey, new: Nad | None, *, is_early: bool = False) -> None:
        """Sets a NAD; None: it is gone.

        The annotations of a NAD that is created later than `begin` (not `is_early`) do not count:
        its author wrote them.
        """
        was_held, before = self.is_held(key), self._register.get(key)
        is_known = before is not None and new is not None and before.uid == new.uid
        if new is not None and not (is_known or is_early):
            new = nads.unaccepted(new)
        settled = self._register.put(key, new)
        after = self._register.get(key)
        if after is None:
            self._events.forget(key)
            self._let_go.pop(key, None)
            self._excluded.pop(key, None)
        touched = self._apply(settled, {key})
        if after is None and before is not None and before.accepted is not None:
            self.release(before.accepted.name)  # if it was invalid, nothing settled anew
        if before is not None and after is not None:
            self._note_excluded(before, after)
        after = self._register.get(key)  # what was accepted may just have been forgotten
        if after is not None and after.accepted and after.accepted.name not in self._networks:
            # Invalid now, but accepted before: pods may run with that.
            self._remember(after.accepted)
        if key not in touched and not nads.alike(before, after):
            self.affected.nads[key] = None
        if self.is_held(key) and not was_held:
            self.affected.held[key] = None

    def use_renderers(self, keys: Iterable[ObjectKey]) -> None:
        """What these NADs are rendered from may be another object now, or none."""
        self._apply(self._register.settle_again(keys))

    def use(self, key: ObjectKey) -> None:
        """A NAD gained its first pod, or lost one."""
        self._apply(self._register.users_changed(key))
        nad = self._register.get(key)
        if nad is None:
            return
        if nad.is_deleting or self.is_held(key) != bool(self._allocations.users(key)):
            self.due[key] = 0.0
        for each in self._events.naming:
            self.due[each] = 0.0  # the pods that its Event named may be gone

    def _apply(self, settled: Settled, always: Iterable[ObjectKey] = ()) -> set[ObjectKey]:
        """Puts new settlements in force; returns the NADs for which anything changed."""
        touched: set[ObjectKey] = set()
        for name, earlier in settled.items():
            now, before = self._register.settlement(name), self._networks.get(name)
            if now.spec is None:
                self.release(name)
                touched |= self._register.declaring(name) if now != earlier else set()
                continue
            self._remember(now.spec, now.lead)
            if now != earlier or before != self._networks.get(name):
                touched |= self._register.declaring(name)
        self.due |= dict.fromkeys(sorted({*touched, *always}), 0.0)
        self.affected.nads |= dict.fromkeys(sorted(touched))
        return touched

    def _remember(self, spec: model.NetworkSpec, owner: ObjectKey | None = None) -> None:
        try:
            number = self._ids.allocate(spec.name)
            self._no_id.pop(spec.name, None)
            self._networks[spec.name] = model.Network(spec, number, owner)
            self._vlans.set(spec.name, spec)
        except errors.Exhausted as error:
            self._no_id[spec.name] = error

    # Decisions out

    def decide(self, key: ObjectKey) -> Outcome:
        """Returns the patch of a NAD's annotations and finalizers, and its Events."""
        nad = self._register.get(key)
        if nad is None:
            return NOTHING
        network, config, messages = self._standing(nad)
        events = [*self._excluded.pop(key, ()), *self._events.new_events(nad, messages)]
        annotations = nads.desired_annotations(nad, network, config)
        events += self._events_for_users(nad)
        finalizers = self._finalizers(nad)
        if not annotations and finalizers is None:
            return Outcome(events=tuple(events))
        patch = Patch(nad.subject, annotations, finalizers, version=nad.version)
        return Outcome((patch,), tuple(events))

    def written(self, key: ObjectKey, patch: Patch) -> None:
        """Call after a patch was written: a finalizer that it added holds the NAD again."""
        is_on = names.NETWORK_IN_USE in (patch.finalizers or ())
        if is_on and self._let_go.get(key) == patch.version:
            del self._let_go[key]
            self.affected.held[key] = None

    def _standing(self, nad: Nad) -> tuple[model.Network | None, str, Messages]:
        """Returns the network to write on a NAD, its accepted text, and the messages of Events."""
        key, network, config, messages = nad.key, None, nad.config, []
        if nad.problem:
            messages.append((Reason.INVALID_CONFIG, nads.parse_refusal(nad)))
        standing = self._register.standing(key)
        if standing is not None:
            refusal = self._register.settlement(standing.name).refused.get(key)
            if refusal is not None:
                messages.append((Reason.INVALID_CONFIG, refusal))
            else:
                network = self._networks.get(standing.name)
                if standing is not nad.spec:
                    config = nad.accepted_config
        if network is None and nad.accepted is not None:
            self.release(nad.accepted.name)
            network = self._networks.get(nad.accepted.name)
            config = nad.accepted_config
        elif network is not None and nad.annotated_owner != network.owner:
            guest = self._access.joined_notice(network, key)
            messages += [(Reason.FOREIGN_NETWORK, guest)] if guest else []
        warnings = (*nad.warnings, *self._vlans.warnings(network))
        messages += [(reason, f"{_KIND} {key}: {warning}") for reason, warning in warnings]
        return network, config, tuple(messages)

    def _finalizers(self, nad: Nad) -> tuple[str, ...] | None:
        """Returns the finalizers to write; None if they are right.

        Once weft removes its finalizer, the NAD counts as not held until its next version is seen.
        """
        key, used = nad.key, bool(self._allocations.users(nad.key))
        finalizers = nads.desired_finalizers(nad, used=used)
        if finalizers is None and used and nad.is_held and not self.is_held(key):
            finalizers = nad.finalizers
        if finalizers is not None and not used:
            self._let_go[key] = nad.version
        return finalizers

    def _events_for_users(self, nad: Nad) -> Iterator[Event]:
        """Yields Events that name the pods for which a deletion or an edit waits."""
        key, accepted = nad.key, nad.accepted
        yield from self._events.name(
            nad,
            Reason.NETWORK_IN_USE,
            self._allocations.users(key),
            about=nad.is_deleting,
            text=partial(edits.in_use, nad),
        )
        held_back = self.held_back(nad)
        yield from self._events.name(
            nad,
            Reason.EDIT_WAITS,
            self.users(accepted.name) if accepted and held_back else {},
            about=(held_back, nad.config) if held_back else None,
            text=partial(edits.waits, nad, held_back),
        )

    def _note_excluded(self, before: Nad, after: Nad) -> None:
        """Queues an Event that names pods with addresses that an edit excludes."""
        old, new = before.accepted, after.accepted
        if old is None or new is None or old.name != new.name:
            return
        added = set(new.exclude_subnets) - set(old.exclude_subnets)
        if added and (pods := self._allocations.ledgers.within(new.name, added)):
            message = edits.excluded(after, pods.values(), len(pods))
            event = Event(after.subject, Reason.ADDRESSES_EXCLUDED, message)
            self._excluded.setdefault(after.key, []).append(event)
