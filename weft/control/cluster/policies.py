"""What became of each MultiNetworkPolicy: is it in force, on what, and what of it is not?

Joins the cache of policies with networks, pods and namespaces; writes a policy's status and notes
on it what of it was accepted, so that an edit that breaks it opens nothing. Nothing is enforced
from here: the nodes read the same policies. What a status says is decided in api/policystatus.py.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from weft import errors, names
from weft.api import policy as reading
from weft.api import policystatus
from weft.api.policystatus import Binding, Findings, Unmatched
from weft.control.cluster import wishes
from weft.control.cluster.matches import Kind, Matches
from weft.control.cluster.networks import Networks
from weft.kube import cache, events, queue, resources
from weft.kube.client import Client, NotFound, Object
from weft.policy.netpolicy import PodSelector, Policy, Protocol

log = logging.getLogger(__name__)

# Seconds in which what pods and networks do to one policy's status is gathered.
QUIET = 0.5
_KIND = resources.MULTINETWORKPOLICIES.kind
News = tuple[tuple[str, str, str], ...]  # type, reason and message of Events


def watch(client: Client) -> cache.Cache:
    """The cache of policies; a cluster without their kind has none."""
    return cache.Cache(client, resources.MULTINETWORKPOLICIES, may_be_unknown=True)


def watch_namespaces(client: Client) -> cache.Cache:
    def keep(namespace: Object) -> Object:
        meta = namespace["metadata"]
        kept = {name: meta[name] for name in ("name", "uid", "resourceVersion")}
        notes = meta.get("annotations") or {}
        if names.ACL_LOGGING in notes:
            kept["annotations"] = {names.ACL_LOGGING: notes[names.ACL_LOGGING]}
        return {"metadata": {**kept, "labels": meta.get("labels") or {}}}

    return cache.Cache(client, resources.NAMESPACES, keep=keep)


@dataclass(frozen=True, slots=True)
class Entry:
    """One policy as read: what is in force of it, what breaks it, and what is to be noted."""

    policy: Policy | None
    problems: tuple[str, ...] = ()
    note: str = ""


class Policies:
    """One look at a policy whenever anything that its status tells may have changed."""

    def __init__(
        self,
        client: Client,
        policies: cache.Cache,
        namespaces: cache.Cache,
        pods: cache.Cache,
        networks: Networks,
        recorder: events.Recorder,
    ) -> None:
        self._client, self._policies, self._recorder = client, policies, recorder
        self._namespaces, self._pods, self._networks = namespaces, pods, networks
        self._entries: dict[str, Entry] = {}
        self._matches = Matches()
        self._follows_pods = False
        self._subjects: dict[PodSelector, set[str]] = {}  # the policies that select them
        self._peers: dict[PodSelector, set[str]] = {}  # the policies whose rules do
        self._stood: dict[str, Mapping[str, str]] = {}  # networks of each one's definitions
        self._told: dict[str, News] = {}
        self._unkept: dict[str, Object] = {}  # statuses that the server did not take
        self.queue = queue.Queue(_KIND)

    def __len__(self) -> int:
        return len(self._entries)

    def start(self) -> None:
        """Once, when all are synced and the networks started."""
        self._namespaces.subscribe(self._on_namespace)
        self._policies.subscribe(self._on_policy)
        self._networks.listen(self._on_nad)
        self._matches.listen(self._on_match)

    async def run(self) -> None:
        await self.queue.run(self._write, workers=2)

    # What happened: notes it, at once

    def _on_namespace(self, key: str, old: Object | None, new: Object | None) -> None:
        self._matches.set_namespace(key, new["metadata"]["labels"] if new else None)
        if new is None:
            return
        before = set(map(_told, reading.logging_problems(old))) if old else set()
        for problem in map(_told, reading.logging_problems(new)):
            if problem not in before:
                said = f"{resources.NAMESPACES.kind} {key}: {problem}"
                self._recorder.emit(new, "Warning", "InvalidACLLogging", said)

    def _on_pod(self, key: str, old: Object | None, new: Object | None) -> None:
        if old is not None and new is not None and wishes.are_policed_alike(old, new):
            return
        pod = new or old
        assert pod is not None
        is_there = new is not None and "nodeName" in new and not wishes.is_completed(new)
        given = Counter(wishes.definitions(pod)) if is_there else {}
        named = ((None, ""), *wishes.named_ports(pod))
        held = {Kind(each, *port): count for each, count in given.items() for port in named}
        self._matches.set_pod(key, pod["metadata"]["namespace"], wishes.labels(pod), held)

    def _on_nad(self, nad: str) -> None:
        for key in self._entries:
            self.queue.add(key, after=QUIET)

    def _on_match(self, members: PodSelector, edge: bool) -> None:
        """A policy tells how many pods it guards, but of a peer only that there are none."""
        for key in self._subjects.get(members, ()):
            self.queue.add(key, after=QUIET)
        for key in self._peers.get(members, ()) if edge else ():
            self.queue.add(key, after=QUIET)

    def _on_policy(self, key: str, old: Object | None, new: Object | None) -> None:
        if not self._follows_pods:  # without any policy a pod's coming and going costs nothing
            self._follows_pods = True
            self._pods.subscribe(self._on_pod)
        before = self._entries.pop(key, None)
        after = _read(new, before) if new is not None else None
        if after is not None:
            self._entries[key] = after
            self.queue.add(key)
        else:
            for kept in (self._stood, self._told, self._unkept):
                kept.pop(key, None)
        earlier, later = (entry.policy if entry else None for entry in (before, after))
        if not _are_alike(earlier, later):
            for members, place in self._asked(earlier):
                self._matches.drop(members)
                place[members].discard(key)
                if not place[members]:
                    del place[members]
            for members, place in self._asked(later):
                place.setdefault(members, set()).add(key)
                self._matches.ask(members)

    def _asked(
        self, policy: Policy | None
    ) -> Iterator[tuple[PodSelector, dict[PodSelector, set[str]]]]:
        """The selectors of a policy, each once, and where it is kept who asks for it."""
        if policy is None:
            return
        yield policy.subjects, self._subjects
        peers = [each.members for each in policystatus.selecting(policy)][1:]
        yield from ((members, self._peers) for members in dict.fromkeys(peers))

    # What is to be done about it

    async def _write(self, key: str) -> None:
        """Brings a policy's note, status and Events up to what is known."""
        entry, obj = self._entries.get(key), self._policies.get(key)
        if entry is None or obj is None:
            return
        stood = self._stood[key] = self._standing(key, entry)
        found = self._findings(entry, obj, stood)
        try:
            await self._note(entry, obj, stood)
            await self._write_status(key, found, obj)
        except NotFound:
            return  # deleted meanwhile: the cache is about to say so
        self._tell(key, obj, _news(found, has_status=key not in self._unkept))

    def _standing(self, key: str, entry: Entry) -> dict[str, str]:
        """Of which network each definition of a policy is; of one that is of none now, was."""
        policy = entry.policy
        known = {**dict(policy.remembered if policy else ()), **self._stood.get(key, {})}
        for definition in policy.definitions if policy else ():
            network = self._networks.find(definition)
            if network is not None:
                known[definition] = network.name
        return {
            each: known[each] for each in (policy.definitions if policy else ()) if each in known
        }

    def _findings(self, entry: Entry, obj: Object, stood: Mapping[str, str]) -> Findings:
        policy, unbound = entry.policy, []
        bound: dict[str, list[str]] = {}
        for definition in policy.definitions if policy else ():
            network = self._networks.find(definition)
            if network is not None and not network.is_default:
                bound.setdefault(network.name, []).append(definition)
                continue
            why, before = self._why(definition), stood.get(definition, names.DEFAULT_NETWORK)
            if before != names.DEFAULT_NETWORK and self._networks.get(before) is not None:
                bound.setdefault(before, [])
                why = f"{why}; network {before}, which it was of, stays guarded"
            unbound.append(why)
        bindings, unmatched = [], []
        if policy is not None:
            ports = self._ports(policy.subjects)
            bindings = [Binding(name, tuple(nads), ports[name]) for name, nads in bound.items()]
            unmatched = list(self._unmatched(policy, set(bound))) if bound else []
        return Findings(
            policy=policy,
            generation=obj["metadata"].get("generation", 0),
            problems=entry.problems,
            bindings=tuple(bindings),
            unbound=tuple(unbound),
            unmatched=tuple(unmatched),
        )

    def _why(self, definition: str) -> str:
        """Why a definition stands for no network that a policy could guard."""
        subject = f"{resources.NADS.kind} {definition}"
        try:
            network = self._networks.lookup(definition, "", known=True)
        except errors.NotReady as error:
            return str(error)
        if network is None:
            return f"{subject}: belongs to another plugin, whose networks weft does not guard"
        return f"{subject}: is the cluster's own network, which is not guarded"

    def _ports(
        self, members: PodSelector, protocol: Protocol | None = None, port: str = ""
    ) -> Counter[str]:
        """Attachments by network; with a `port` those whose pod has one of that name."""
        found: Counter[str] = Counter()
        for kind, count in self._matches.count(members).items():
            if (kind.protocol, kind.port) == (protocol, port):
                network = self._networks.find(kind.definition)
                if network is not None:
                    found[network.name] += count
        return found

    def _unmatched(self, policy: Policy, networks: set[str]) -> Iterator[Unmatched]:
        nobody: set[PodSelector] = set()
        for each in dict.fromkeys(policystatus.selecting(policy)):
            if each.port and each.members in nobody:
                continue  # told already
            if not networks & self._ports(each.members, each.protocol, each.port).keys():
                yield each
                if not each.port:
                    nobody.add(each.members)

    async def _note(self, entry: Entry, obj: Object, stood: Mapping[str, str]) -> None:
        """What of the policy is accepted stands on it, for the nodes to go by when it breaks."""
        meta = obj["metadata"]
        noted = (meta.get("annotations") or {}).get(names.ACCEPTED_POLICY, "")
        note = reading.noted_with(entry.note, stood)
        if note == noted:
            return
        notes = {names.ACCEPTED_POLICY: note or None}
        body = {"metadata": {"uid": meta["uid"], "annotations": notes}}
        await self._client.patch(
            resources.MULTINETWORKPOLICIES, meta["name"], meta["namespace"], body
        )

    async def _write_status(self, key: str, found: Findings, obj: Object) -> None:
        before = self._unkept.get(key) or obj.get("status")
        status = policystatus.render(found, before, events.now())
        if status == before:
            return
        where = obj["metadata"]["name"], obj["metadata"]["namespace"]
        body = {"metadata": {"uid": obj["metadata"]["uid"]}, "status": status}
        kind = resources.MULTINETWORKPOLICIES
        try:
            kept = await self._client.patch(kind, *where, body, subresource="status")
        except NotFound:
            kept = await self._client.get(kind, *where)  # not there either if it is gone
        if kept.get("status") == status:
            self._unkept.pop(key, None)
            return
        if not self._unkept:
            log.warning("%s keeps no status in this cluster: Events say what it would", _KIND)
        self._unkept[key] = status

    def _tell(self, key: str, obj: Object, news: News) -> None:
        """Events of what was not said last time."""
        before = self._told.get(key, ())
        self._told[key] = news
        for type, reason, said in news:
            if (type, reason, said) not in before:
                self._recorder.emit(obj, type, reason, f"{_KIND} {key}: {said}")


def _read(obj: Object, before: Entry | None) -> Entry:
    """What stands of a policy: what it says; else what it said before, or is noted to have said."""
    problems, earlier = reading.problems(obj), before.policy if before is not None else None
    standing = reading.standing(obj, earlier)
    if not problems:
        return Entry(standing, note=reading.note(obj))
    said = tuple(map(_told, problems))
    if before is not None and earlier is not None:
        return Entry(standing, said, before.note)
    noted = (obj["metadata"].get("annotations") or {}).get(names.ACCEPTED_POLICY, "")
    return Entry(standing, said, noted)


def _are_alike(one: Policy | None, other: Policy | None) -> bool:
    """Whether the same pods are asked for; what is remembered of networks asks for none."""
    if one is None or other is None:
        return one is other
    return replace(one, remembered=other.remembered) == other


def _told(error: errors.WeftError) -> str:
    """Without the object, which the Event names."""
    return error.in_full(named=False)


def _news(found: Findings, *, has_status: bool) -> News:
    """What a policy's author should hear of without asking; all if there is no status to ask."""
    accepted, bound, matching = policystatus.conditions(found)
    news: list[tuple[str, str, str]] = []
    if found.problems:
        news.append(("Warning", "InvalidPolicy", accepted.message))
    elif found.policy is not None:
        parts = found.policy.skipped[: policystatus.MOST_TOLD]
        news += [("Warning", "PartSkipped", policystatus.told(part)) for part in parts]
    if found.unbound:
        news.append(("Warning", bound.reason, bound.message))
    if not has_status:
        news += [("Normal", each.reason, each.message) for each in (accepted, bound, matching)]
    return tuple(news)
