"""What does each pod hold of each network, and what becomes free when it goes?

Pure: keeps one ledger a network and, by pod uid, what was taken from which. A pod is released
once, whatever happened to its NADs meanwhile; a network's changed definition carries its
holders over. Whether a pod is to get anything is not decided here.
"""

from __future__ import annotations

from weft import model
from weft.alloc import ledger


class Holdings:
    """`uid` is a pod's, `label` what messages call it: "Pod default/web1"."""

    def __init__(self) -> None:
        self._ledgers: dict[str, ledger.Ledger] = {}
        self._held: dict[str, dict[str, str]] = {}  # pod uid: attachment key: network name
        self._labels: dict[str, str] = {}  # by owner, to carry them over to another ledger
        self._users: dict[str, int] = {}  # network name: attachments that hold something of it

    def __len__(self) -> int:
        """Attachments that hold something."""
        return sum(self._users.values())

    def is_used(self, network: str) -> bool:
        return network in self._users

    def get(self, uid: str, key: str) -> model.Allocation | None:
        network = self._held.get(uid, {}).get(key)
        return None if network is None else self._ledgers[network].get(_owner(key, uid))

    def reserve(
        self, network: model.Network, uid: str, key: str, allocation: model.Allocation, label: str
    ) -> None:
        """Notes what was given before; Conflict or InvalidInput if that cannot be true."""
        self._ledger(network).reserve(_owner(key, uid), allocation, label=label)
        self._note(network.name, uid, key, label)

    def allocate(
        self, network: model.Network, uid: str, attachment: model.Attachment, label: str
    ) -> model.Allocation:
        owner = _owner(attachment.key, uid)
        allocation = self._ledger(network).allocate(owner, attachment, label=label)
        self._note(network.name, uid, attachment.key, label)
        return allocation

    def release(self, uid: str, key: str = "") -> list[str]:
        """Frees what a pod holds, of one attachment or of all: the networks, one for each."""
        held = self._held.get(uid)
        if held is None:
            return []
        freed = []
        for each in [key] if key else list(held):
            network = held.pop(each, None)
            if network is None:
                continue
            self._ledgers[network].release(_owner(each, uid))
            self._labels.pop(_owner(each, uid), None)
            self._users[network] -= 1
            if not self._users[network]:
                del self._users[network]
            freed.append(network)
        if not held:
            del self._held[uid]
        return freed

    def drop(self, network: str) -> None:
        """The network is no more; nobody may hold anything of it."""
        if not self.is_used(network):
            self._ledgers.pop(network, None)

    def _note(self, network: str, uid: str, key: str, label: str) -> None:
        held = self._held.setdefault(uid, {})
        if key not in held:
            held[key] = network
            self._labels[_owner(key, uid)] = label
            self._users[network] = self._users.get(network, 0) + 1

    def _ledger(self, network: model.Network) -> ledger.Ledger:
        there = self._ledgers.get(network.name)
        if there is not None and (
            there.network.spec is network.spec or there.network.spec == network.spec
        ):
            return there
        fresh = ledger.Ledger(network)
        if there is not None:
            for owner, allocation in there.holdings().items():
                fresh.reserve(owner, allocation, label=self._labels[owner])
        self._ledgers[network.name] = fresh
        return fresh


def _owner(key: str, uid: str) -> str:
    return f"{key}/{uid}"
