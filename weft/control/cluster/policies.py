"""Decides the status and Events of each MultiNetworkPolicy, and annotates its accepted version.

Pure. The annotation keeps the accepted version in force when an edit is invalid, so that the edit
opens nothing. The nodes enforce policies from the same objects; nothing here does.
`api/policystatus.py` words the status.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from weft import errors, names
from weft.api import policy as reading
from weft.api import policystatus
from weft.api.pod import Pod
from weft.api.policystatus import Binding, Findings, Unmatched
from weft.control import index
from weft.control.cluster import objects
from weft.control.cluster.networks import Networks
from weft.control.cluster.objects import Namespace
from weft.control.cluster.outcome import NOTHING, Event, Outcome, Patch
from weft.control.cluster.podtable import PodTable
from weft.control.cluster.selectorcounts import SelectorCounts, Through
from weft.kube import resources
from weft.model import ObjectKey
from weft.policy.netpolicy import PodSelector, Policy, Protocol
from weft.reasons import Reason

# Seconds in which changes of pods and networks are collected into one update of a status.
QUIET = 0.5
_KIND = resources.MULTINETWORKPOLICIES.kind
Messages = tuple[tuple[Reason, str], ...]  # reasons of Events with their messages


@dataclass(frozen=True, slots=True)
class _Entry:
    """A policy as seen, the version in force, and the annotation that keeps it."""

    seen: objects.Policy
    policy: Policy | None
    annotation_to_keep: str = ""


class PolicyStatuses:
    """All policies by key. `due`: the policies to decide, and after how many seconds."""

    def __init__(self, table: PodTable, networks: Networks) -> None:
        self._pods, self._networks = table, networks
        self._namespaces: dict[str, tuple[str, ...]] = {}  # problems of their logging
        self._entries: dict[ObjectKey, _Entry] = {}
        self._counts = SelectorCounts()
        self._follows_pods = False
        self._subjects: dict[PodSelector, set[ObjectKey]] = {}  # the policies that select them
        self._peers: dict[PodSelector, set[ObjectKey]] = {}  # the policies whose rules name them
        # The networks of each one's NADs, by NAD.
        self._last_networks: dict[ObjectKey, Mapping[ObjectKey, str]] = {}
        self._last_messages: dict[ObjectKey, Messages] = {}
        self._unkept: dict[ObjectKey, Mapping[str, Any]] = {}  # statuses that are not stored
        self.due: dict[ObjectKey, float] = {}

    def __len__(self) -> int:
        return len(self._entries)

    # Objects in

    def set_namespace(self, name: str, new: Namespace | None) -> tuple[Event, ...]:
        """Sets a namespace's labels; returns Events about its ACL logging annotation."""
        self._counts.set_namespace(name, new.labels if new is not None else None)
        self._note_counts()
        before = self._namespaces.pop(name, ())
        if new is None:
            return ()
        self._namespaces[name] = new.problems
        problems = (each for each in new.problems if each not in before)
        about = f"{resources.NAMESPACES.kind} {name}"
        return tuple(
            Event(new.subject, Reason.INVALID_ACL_LOGGING, f"{about}: {each}") for each in problems
        )

    def set_pod(self, key: ObjectKey, old: Pod | None, new: Pod | None) -> None:
        """Counts a pod that is new, changed, or gone (None)."""
        if self._follows_pods and not (old and new and old.is_same_to_policies(new)):
            self._count(key, old, new)
            self._note_counts()

    def use_nad(self) -> None:
        """Call when NADs may stand for other networks."""
        for key in self._entries:
            self.due.setdefault(key, QUIET)

    def set_policy(self, key: ObjectKey, new: objects.Policy | None) -> None:
        """Sets a policy; None: it is gone."""
        if not self._follows_pods:  # without any policy a pod's coming and going costs nothing
            self._follows_pods = True
            for pod in self._pods:
                self._count(pod.key, None, pod)
        before = self._entries.pop(key, None)
        after = _entry(new, before) if new is not None else None
        if after is not None:
            self._entries[key] = after
            self.due[key] = 0.0
        else:
            self._last_networks.pop(key, None)
            self._last_messages.pop(key, None)
            self._unkept.pop(key, None)
        earlier, later = (entry.policy if entry else None for entry in (before, after))
        if not _are_alike(earlier, later):
            for members, place in self._selectors_of(earlier):
                self._counts.remove(members)
                index.discard(place, members, key)
            for members, place in self._selectors_of(later):
                place.setdefault(members, set()).add(key)
                self._counts.add(members)
        self._note_counts()

    def _selectors_of(
        self, policy: Policy | None
    ) -> Iterator[tuple[PodSelector, dict[PodSelector, set[ObjectKey]]]]:
        """Yields each selector of a policy once, with the index that holds its policies."""
        if policy is None:
            return
        yield policy.selected_pods, self._subjects
        peers = [each.selector for each in policystatus.selectors_of(policy)][1:]
        yield from ((members, self._peers) for members in dict.fromkeys(peers))

    def _count(self, key: ObjectKey, old: Pod | None, new: Pod | None) -> None:
        pod = new or old
        if pod is None:
            return
        is_there = new is not None and bool(new.node) and not new.is_completed
        given = Counter(pod.allocated) if is_there else {}
        named = ((None, ""), *pod.named)
        held = {Through(each, *port): count for each, count in given.items() for port in named}
        self._counts.set_pod(key, pod.ref.namespace, pod.labels, held)

    def _note_counts(self) -> None:
        """A status counts the selected pods, but says of a peer only whether it has any."""
        for members, is_edge in self._counts.take_changed().items():
            concerned = set(self._subjects.get(members, ()))
            concerned |= self._peers.get(members, set()) if is_edge else set()
            for key in sorted(concerned):
                self.due.setdefault(key, QUIET)

    # Decisions out

    def decide(self, key: ObjectKey, now: str) -> Outcome:
        """Returns the patches of a policy's annotation and status, and its Events."""
        entry = self._entries.get(key)
        if entry is None:
            return NOTHING
        seen = entry.seen
        networks = self._last_networks[key] = self._standing(key, entry)
        found = self._findings(entry, networks)
        patches = []
        note = reading.annotation_with_networks(entry.annotation_to_keep, networks)
        if note != seen.declared.annotation:
            patches.append(Patch(seen.subject, {names.ACCEPTED_POLICY: note or None}))
        before = self._unkept.get(key) or seen.status
        status = policystatus.render(found, before, now)
        if status != before:
            patches.append(Patch(seen.subject, status=status))
        messages = _messages(found, has_status=key not in self._unkept)
        return Outcome(tuple(patches), tuple(self._events(key, entry, messages)))

    def keep_status(self, key: ObjectKey, patch: Patch, kept: object) -> bool:
        """Notes whether the server stored a status (`kept` is what it returned).

        Returns whether this is the first status that it did not store.
        """
        if key not in self._entries or patch.status is None:
            return False
        if kept == patch.status:
            self._unkept.pop(key, None)
            return False
        is_first = not self._unkept
        self._unkept[key] = patch.status
        self.due[key] = 0.0  # Events report it instead
        return is_first

    def _events(self, key: ObjectKey, entry: _Entry, messages: Messages) -> Iterator[Event]:
        """Yields Events for the messages that are new since last time."""
        before = self._last_messages.get(key, ())
        self._last_messages[key] = messages
        for reason, message in messages:
            if (reason, message) not in before:
                yield Event(entry.seen.subject, reason, f"{_KIND} {key}: {message}")

    def _standing(self, key: ObjectKey, entry: _Entry) -> dict[ObjectKey, str]:
        """Returns the network of each NAD of a policy; of a NAD without one, its last network."""
        policy = entry.policy
        known = {**dict(policy.last_networks if policy else ()), **self._last_networks.get(key, {})}
        for nad in policy.nads if policy else ():
            network = self._networks.find(nad)
            if network is not None:
                known[nad] = network.name
        return {each: known[each] for each in (policy.nads if policy else ()) if each in known}

    def _findings(self, entry: _Entry, networks: Mapping[ObjectKey, str]) -> Findings:
        policy, unbound = entry.policy, []
        bound: dict[str, list[ObjectKey]] = {}
        for nad in policy.nads if policy else ():
            network = self._networks.find(nad)
            if network is not None and not network.is_default:
                bound.setdefault(network.name, []).append(nad)
                continue
            why, before = self._why(nad), networks.get(nad, names.DEFAULT_NETWORK)
            if before != names.DEFAULT_NETWORK and self._networks.get(before) is not None:
                bound.setdefault(before, [])
                why = f"{why}; network {before}, which it was of, stays guarded"
            unbound.append(why)
        bindings, unmatched = [], []
        if policy is not None:
            ports = self._ports(policy.selected_pods)
            bindings = [Binding(name, tuple(nads), ports[name]) for name, nads in bound.items()]
            unmatched = list(self._unmatched(policy, set(bound))) if bound else []
        return Findings(
            policy=policy,
            generation=entry.seen.generation,
            problems=entry.seen.declared.problems,
            bindings=tuple(bindings),
            unbound=tuple(unbound),
            unmatched=tuple(unmatched),
        )

    def _why(self, nad: ObjectKey) -> str:
        """Returns why a NAD stands for no network that a policy could guard."""
        subject = f"{resources.NADS.kind} {nad}"
        try:
            network = self._networks.lookup(nad, known=True)
        except errors.NotReady as error:
            return str(error)
        if network is None:
            return f"{subject}: belongs to another plugin, whose networks weft does not guard"
        return f"{subject}: is the default network, which is not guarded"

    def _ports(
        self, members: PodSelector, protocol: Protocol | None = None, port: str = ""
    ) -> Counter[str]:
        """Counts attachments by network; with a `port`, those whose pod has that named port."""
        found: Counter[str] = Counter()
        for through, count in self._counts.count(members).items():
            if (through.protocol, through.port) == (protocol, port):
                network = self._networks.find(through.nad)
                if network is not None:
                    found[network.name] += count
        return found

    def _unmatched(self, policy: Policy, networks: set[str]) -> Iterator[Unmatched]:
        nobody: set[PodSelector] = set()
        for each in dict.fromkeys(policystatus.selectors_of(policy)):
            if each.port and each.selector in nobody:
                continue  # reported already
            if not networks & self._ports(each.selector, each.protocol, each.port).keys():
                yield each
                if not each.port:
                    nobody.add(each.selector)


def _entry(seen: objects.Policy, before: _Entry | None) -> _Entry:
    """Returns the version in force: the present one, else the last accepted or annotated one."""
    declared, earlier = seen.declared, before.policy if before is not None else None
    standing = declared.in_force(earlier)
    if declared.current is not None:
        return _Entry(seen, standing, declared.annotation_to_keep)
    if before is not None and earlier is not None:
        return _Entry(seen, standing, before.annotation_to_keep)
    return _Entry(seen, standing, declared.annotation)


def _are_alike(one: Policy | None, other: Policy | None) -> bool:
    """Whether two versions have the same selectors; remembered networks do not count."""
    if one is None or other is None:
        return one is other
    return replace(one, last_networks=other.last_networks) == other


def _messages(found: Findings, *, has_status: bool) -> Messages:
    """Returns the messages that get Events: mistakes, and all of a status that is not stored."""
    accepted, bound, matching = policystatus.conditions(found)
    messages: list[tuple[Reason, str]] = []
    if found.problems:
        messages.append((Reason.INVALID_POLICY, accepted.message))
    elif found.policy is not None:
        skipped = found.policy.skipped[: policystatus.MAX_REPORTED]
        messages += [(Reason.PART_SKIPPED, policystatus.skipped_text(each)) for each in skipped]
    if found.unbound:
        messages.append((bound.reason, bound.message))
    if not has_status:
        kept = {each.reason: each.message for each in (accepted, bound, matching)}
        messages += [each for each in kept.items() if each not in messages]
    return tuple(messages)
