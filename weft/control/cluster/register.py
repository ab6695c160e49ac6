"""Which definitions exist, what does each declare, and which of each network are accepted?

Kept incrementally, in memory alone: each change says which networks were settled anew. Decisions
are `definitions.py`'s, `edits.py`'s and `access.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from weft import model
from weft.control.cluster import definitions, edits
from weft.control.cluster.definitions import Definition, Settlement
from weft.policy import access

Settled = dict[str, Settlement]  # by network, as it was before


class Register:
    """`has_pods(key)`: whether pods hold something through a definition."""

    def __init__(self, rule: access.Rule, has_pods: Callable[[str], object]) -> None:
        self._rule, self._has_pods = rule, has_pods
        self._definitions: dict[str, Definition] = {}
        self._standing: dict[str, model.NetworkSpec] = {}
        self._members: dict[str, set[str]] = {}  # network: the definitions that stand for it
        self._accepted: dict[str, set[str]] = {}  # network: the definitions once accepted for it
        self._in_use: dict[str, bool] = {}  # of those networks
        self._homes: dict[str, set[str]] = {}  # namespace: its definitions
        self._settlements: dict[str, Settlement] = {}

    def get(self, key: str) -> Definition | None:
        return self._definitions.get(key)

    def __iter__(self) -> Iterator[Definition]:
        return iter(self._definitions.values())

    def standing(self, key: str) -> model.NetworkSpec | None:
        return self._standing.get(key)

    def settlement(self, network: str) -> Settlement:
        return self._settlements.get(network, Settlement())

    def members(self, network: str) -> frozenset[str]:
        return frozenset(self._members.get(network, ()))

    def users(self, network: str) -> frozenset[str]:
        """The definitions through which pods may be on a network."""
        return frozenset(self._accepted.get(network, ())) | self.members(network)

    def of_namespace(self, namespace: str) -> frozenset[str]:
        return frozenset(self._homes.get(namespace, ()))

    # What happened

    def put(self, key: str, new: Definition | None) -> Settled:
        """A definition is there, is another, or is gone.

        What was accepted of it is known here better than from its notes, which anybody may have
        changed or taken off, and which come back later than they are written.
        """
        old = self._definitions.pop(key, None)
        is_same = old is not None and new is not None and old.uid == new.uid
        if old is not None and new is not None and is_same:
            new = replace(new, accepted=old.accepted, accepted_config=old.accepted_config)
        home = access.home(key)
        self._homes.setdefault(home, set()).add(key)
        if new is None:
            self._homes[home].discard(key)
            if not self._homes[home]:
                del self._homes[home]
        settled: Settled = {}
        if old is not None and not is_same:
            # A definition that is recreated under its name is another one: it owns nothing yet.
            self._note(key, old, None)
            settled = self._stand({key, *self._recount(old)})
            old = None
        if new is not None:
            self._definitions[key] = new
            self._note(key, old, new)
            settled = {**self._stand({key, *self._recount(new)}), **settled}
        return settled

    def look(self, key: str) -> Settled:
        """Pods came to a definition, or the last one went."""
        definition = self._definitions.get(key)
        if definition is None or definition.accepted is None:
            return {}
        if self._in_use.get(definition.accepted.name) and self._has_pods(key):
            return {}  # as nearly always: one more pod among others
        return self._stand(self._recount(definition))

    def join(self, namespace: str) -> Settled:
        """A namespace has other labels than before."""
        found = {
            self._standing[k].name for k in self.of_namespace(namespace) if k in self._standing
        }
        return self._settle(found)

    def forget(self, network: str) -> None:
        """Nobody holds anything of a network any more, and no definition stands for it."""
        self._in_use.pop(network, None)
        for key in self._accepted.pop(network, ()):
            old = self._definitions[key]
            self._definitions[key] = replace(old, accepted=None, accepted_config="")

    # Between

    def _note(self, key: str, old: Definition | None, new: Definition | None) -> None:
        for definition, is_new in ((old, False), (new, True)):
            if definition is not None and definition.accepted is not None:
                keys = self._accepted.setdefault(definition.accepted.name, set())
                (keys.add if is_new else keys.discard)(key)
                if not keys:
                    del self._accepted[definition.accepted.name]
                    self._in_use.pop(definition.accepted.name, None)

    def _uses(self, name: str) -> bool:
        return any(
            (definition := self._definitions.get(key)) is not None
            and (definition.is_held or bool(self._has_pods(key)))
            for key in self._accepted.get(name, ())
        )

    def _recount(self, definition: Definition) -> set[str]:
        """Definitions to reconcile when a network gets its first pod or loses its last one."""
        name = definition.accepted.name if definition.accepted else ""
        used = self._uses(name)
        if name not in self._accepted or self._in_use.get(name) == used:
            return set()
        self._in_use[name] = used
        return set(self._accepted[name])

    def _stand(self, keys: set[str]) -> Settled:
        """Works out what definitions stand for, with all that depends on it."""
        touched: set[str] = set()
        for key in keys:
            old, new = self._standing.pop(key, None), None
            if definition := self._definitions.get(key):
                accepted = definition.accepted
                used = accepted is not None and self._in_use.get(accepted.name, False)
                new = edits.standing(definition, used=used)
            if new is not None:
                self._standing[key] = new
                self._members.setdefault(new.name, set()).add(key)
            if old is not None and (new is None or old.name != new.name):
                self._members[old.name].discard(key)
            touched |= {spec.name for spec in (old, new) if spec is not None}
        return self._settle(touched)

    def _settle(self, networks: Iterable[str]) -> Settled:
        before: Settled = {}
        for name in sorted(networks):
            keys = self._members.get(name, set())
            before[name] = earlier = self.settlement(name)
            members = [definitions.Member(self._definitions[k], self._standing[k]) for k in keys]
            settled = definitions.settle(members, self._rule, earlier.lead)
            if not members:
                self._members.pop(name, None)
                self._settlements.pop(name, None)
                continue
            self._settlements[name] = settled
            for key in settled.accepted:
                self._accept(key)
        return before

    def _accept(self, key: str) -> None:
        """What a definition stands for is decided, though it is not yet noted on it."""
        old, spec = self._definitions[key], self._standing[key]
        is_known = spec == old.accepted and old.config == old.accepted_config
        if spec != old.spec or is_known:
            return
        new = replace(old, accepted=spec, accepted_config=old.config)
        self._definitions[key] = new
        self._note(key, old, new)
        self._in_use[spec.name] = self._uses(spec.name)
