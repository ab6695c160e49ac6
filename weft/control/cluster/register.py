"""Records which NADs exist, what each declares, and which of each network are accepted.

Pure, kept incrementally: each change returns the networks that it settled anew. `nads.py`,
`edits.py` and `policy/access.py` make the decisions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from weft import model
from weft.api import userdefined
from weft.control.cluster import edits, settlements
from weft.control.cluster.allocations import Allocations
from weft.control.cluster.nads import Nad
from weft.control.cluster.settlements import Settlement
from weft.model import ObjectKey
from weft.policy import access

Settled = dict[str, Settlement]  # by network: its settlement before


class Register:
    """All NADs by key.

    `allocations` says whether pods hold something through a NAD, `network_of` for which network a
    NAD is rendered.
    """

    def __init__(
        self,
        rule: access.AccessRule,
        allocations: Allocations,
        network_of: settlements.NetworkOf = settlements.by_hand,
    ) -> None:
        self._rule, self._allocations, self._network_of = rule, allocations, network_of
        self._nads: dict[ObjectKey, Nad] = {}
        self._standing: dict[ObjectKey, model.NetworkSpec] = {}
        self._declaring: dict[str, set[ObjectKey]] = {}  # network: the NADs that stand for it
        self._accepted: dict[str, set[ObjectKey]] = {}  # network: the NADs once accepted for it
        self._in_use: dict[str, bool] = {}  # of those networks
        self._homes: dict[str, set[ObjectKey]] = {}  # namespace: its NADs
        self._settlements: dict[str, Settlement] = {}

    def get(self, key: ObjectKey) -> Nad | None:
        return self._nads.get(key)

    def __iter__(self) -> Iterator[Nad]:
        return iter(self._nads.values())

    def standing(self, key: ObjectKey) -> model.NetworkSpec | None:
        """Returns the network that a NAD stands for, None for none."""
        return self._standing.get(key)

    def settlement(self, network: str) -> Settlement:
        """Returns the settlement of a network, an empty one if no NAD declares it."""
        return self._settlements.get(network, Settlement())

    def declaring(self, network: str) -> frozenset[ObjectKey]:
        """Returns the NADs that stand for a network."""
        return frozenset(self._declaring.get(network, ()))

    def networks(self) -> frozenset[str]:
        """Returns the networks that NADs stand for."""
        return frozenset(self._settlements)

    def users(self, network: str) -> frozenset[ObjectKey]:
        """Returns the NADs through which pods may be on a network."""
        return frozenset(self._accepted.get(network, ())) | self.declaring(network)

    def of_namespace(self, namespace: str) -> frozenset[ObjectKey]:
        """Returns the NADs in a namespace."""
        return frozenset(self._homes.get(namespace, ()))

    # What happened

    def put(self, key: ObjectKey, new: Nad | None) -> Settled:
        """Sets a NAD; None: it is gone.

        The accepted configuration is kept from memory: anybody may have changed its annotations,
        and the manager's own come back later than they are written.
        """
        old = self._nads.pop(key, None)
        is_same = old is not None and new is not None and old.uid == new.uid
        if old is not None and new is not None and is_same:
            new = replace(new, accepted=old.accepted, accepted_config=old.accepted_config)
        home = key.namespace
        self._homes.setdefault(home, set()).add(key)
        if new is None:
            self._homes[home].discard(key)
            if not self._homes[home]:
                del self._homes[home]
        settled: Settled = {}
        if old is not None and not is_same:
            # A NAD that is created again under its name is another one: it owns nothing yet.
            self._note(key, old, None)
            settled = self._stand({key, *self._recount(old)})
            old = None
        if new is not None:
            self._nads[key] = new
            self._note(key, old, new)
            settled = {**self._stand({key, *self._recount(new)}), **settled}
        return settled

    def users_changed(self, key: ObjectKey) -> Settled:
        """Call when a NAD gained its first pod, or lost one."""
        nad = self._nads.get(key)
        if nad is None or nad.accepted is None:
            return {}
        if self._in_use.get(nad.accepted.name) and self._allocations.users(key):
            return {}  # the common case: one pod among others
        return self._stand(self._recount(nad))

    def join(self, namespace: str) -> Settled:
        """Settles again, after a namespace's labels changed, or it came or went: the networks of
        its NADs, and those with names of its UserDefinedNetworks."""
        prefix = userdefined.network_name(namespace, "")
        named = (each for each in self._declaring if each.startswith(prefix))
        return self._settle({*self._names(self.of_namespace(namespace)), *named})

    def settle_again(self, keys: Iterable[ObjectKey]) -> Settled:
        """Settles the networks of some NADs again."""
        return self._settle(self._names(keys))

    def _names(self, keys: Iterable[ObjectKey]) -> set[str]:
        return {self._standing[key].name for key in keys if key in self._standing}

    def forget(self, network: str) -> None:
        """Forgets a network of which nothing is held and which no NAD declares."""
        self._in_use.pop(network, None)
        for key in self._accepted.pop(network, ()):
            old = self._nads[key]
            self._nads[key] = replace(old, accepted=None, accepted_config="")

    def _note(self, key: ObjectKey, old: Nad | None, new: Nad | None) -> None:
        for nad, is_new in ((old, False), (new, True)):
            if nad is not None and nad.accepted is not None:
                keys = self._accepted.setdefault(nad.accepted.name, set())
                (keys.add if is_new else keys.discard)(key)
                if not keys:
                    del self._accepted[nad.accepted.name]
                    self._in_use.pop(nad.accepted.name, None)

    def _uses(self, name: str) -> bool:
        return any(
            (nad := self._nads.get(key)) is not None
            and (nad.is_held or bool(self._allocations.users(key)))
            for key in self._accepted.get(name, ())
        )

    def _recount(self, nad: Nad) -> set[ObjectKey]:
        """Returns the NADs to settle when a network gets its first pod or loses its last one."""
        name = nad.accepted.name if nad.accepted else ""
        used = self._uses(name)
        if name not in self._accepted or self._in_use.get(name) == used:
            return set()
        self._in_use[name] = used
        return set(self._accepted[name])

    def _stand(self, keys: set[ObjectKey]) -> Settled:
        """Computes the networks that NADs stand for, and settles those that changed."""
        touched: set[str] = set()
        for key in keys:
            old, new = self._standing.pop(key, None), None
            if nad := self._nads.get(key):
                accepted = nad.accepted
                used = accepted is not None and self._in_use.get(accepted.name, False)
                new = edits.standing(nad, used=used)
            if new is not None:
                self._standing[key] = new
                self._declaring.setdefault(new.name, set()).add(key)
            if old is not None and (new is None or old.name != new.name):
                self._declaring[old.name].discard(key)
            touched |= {spec.name for spec in (old, new) if spec is not None}
        return self._settle(touched)

    def _settle(self, networks: Iterable[str]) -> Settled:
        before: Settled = {}
        for name in sorted(networks):
            keys = self._declaring.get(name, set())
            before[name] = earlier = self.settlement(name)
            members = [settlements.Declaration(self._nads[k], self._standing[k]) for k in keys]
            settled = settlements.settle(members, self._rule, earlier.lead, self._network_of)
            if not members:
                self._declaring.pop(name, None)
                self._settlements.pop(name, None)
                continue
            self._settlements[name] = settled
            for key in settled.accepted:
                self._accept(key)
        return before

    def _accept(self, key: ObjectKey) -> None:
        """Stores the accepted configuration of a NAD before its annotations are written."""
        old, spec = self._nads[key], self._standing[key]
        is_known = spec == old.accepted and old.config == old.accepted_config
        if spec != old.spec or is_known:
            return
        new = replace(old, accepted=spec, accepted_config=old.config)
        self._nads[key] = new
        self._note(key, old, new)
        self._in_use[spec.name] = self._uses(spec.name)
