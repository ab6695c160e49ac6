"""Records which pods hold something through each NAD, whatever network it declares. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from weft.api import podnetworks
from weft.model import ObjectKey


class NadUsers:
    """Pods by NAD: uid to label. None is the default network, which has no NAD."""

    def __init__(self) -> None:
        self._users: dict[ObjectKey | None, dict[str, str]] = {}
        self._changed: set[ObjectKey | None] = set()

    def of(self, nad: ObjectKey) -> Mapping[str, str]:
        return self._users.get(nad, {})

    def label(self, attachment: str, uid: str) -> str:
        """A user's label, by the key of its attachment."""
        return self._users[podnetworks.nad_of(attachment)][uid]

    def add(self, attachment: str, uid: str, label: str) -> None:
        """A pod holds something for an attachment, by its key."""
        nad = podnetworks.nad_of(attachment)
        users = self._users.setdefault(nad, {})
        if not users:
            self._changed.add(nad)  # more users change nothing for the NAD
        users.setdefault(uid, label)

    def remove(self, uid: str, attachments: Iterable[str], kept: Iterable[str]) -> None:
        """A pod let attachments go, and holds something for the `kept` ones."""
        others = set(map(podnetworks.nad_of, kept))
        for nad in set(map(podnetworks.nad_of, attachments)) - others:
            users = self._users.get(nad, {})
            if users.pop(uid, None) is not None:
                if not users:
                    del self._users[nad]
                self._changed.add(nad)

    def take_changed(self) -> set[ObjectKey | None]:
        """Returns the NADs that gained a first pod, or lost one, since the last call."""
        if not (changed := self._changed):
            return changed  # as nearly always
        self._changed = set()
        return changed
