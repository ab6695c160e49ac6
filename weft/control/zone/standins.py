"""Holds the tunnel keys of ports that stand in for machines which wait here: no two the same.

Pure. A machine's own key says which one its stand-in has if nobody has it (`tunnelkeys`). Otherwise
northd would choose for the second: from those of pods too, of which it knows the ones of now.
"""

from __future__ import annotations

from weft import tunnelkeys


class StandIns:
    """By network, what has which key. A port keeps its key until that is released."""

    def __init__(self) -> None:
        self._taken: dict[str, set[int]] = {}
        self._held: dict[str, tuple[str, int]] = {}  # port key -> network, tunnel key

    def key_of(self, network: str, port_key: str, tunnel_id: int) -> int:
        """Returns the key for what stands in for a port of a network. Where all are taken, which
        takes thousands of machines that move to one node, it is one of another's."""
        held, key = self._held.get(port_key, ("", 0))
        if held == network:
            return key
        self.release(port_key)
        taken, choices = self._taken.setdefault(network, set()), tunnelkeys.stand_in_keys(tunnel_id)
        free = next((each for each in choices if each not in taken), None)
        if free is None:
            return next(tunnelkeys.stand_in_keys(tunnel_id))
        taken.add(free)
        self._held[port_key] = (network, free)
        return free

    def release(self, port_key: str) -> None:
        """A port has no stand-in, or none any more."""
        network, key = self._held.pop(port_key, ("", 0))
        if taken := self._taken.get(network):
            taken.discard(key)
            if not taken:
                del self._taken[network]
