"""Which part of each layer3 network has each node, who lacks one, and who gives one back?

Pure bookkeeping. A part stays a node's as long as pods hold addresses of it, whatever becomes of
the Node or of its annotation; only then what the Nodes say counts, the eldest first. Where none is
free, one that no pod uses is taken back, and given on when its Node no longer says that it has it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator

from weft import errors, model, names
from weft.alloc.shares import Slices
from weft.control.cluster.holdings import Holdings

log = logging.getLogger(__name__)


class Parts:
    """`nodes` gives all nodes, the eldest first; `wake(node)`: what it has is to be looked at."""

    def __init__(
        self,
        holdings: Holdings,
        nodes: Callable[[], Iterable[model.NodeInfo]],
        wake: Callable[[str], None],
    ) -> None:
        self._holdings, self._nodes, self._wake = holdings, nodes, wake
        self._slices: dict[str, Slices] = {}  # by network, as all below
        self._wanted: dict[str, set[str]] = {}  # nodes whose pods asked
        self._lacking: dict[str, dict[str, errors.Exhausted]] = {}  # nodes that go without
        self._awaiting: dict[str, dict[str, None]] = {}  # nodes for which one is taken back
        self._leaving: dict[str, set[str]] = {}  # nodes from which

    # What is asked

    def known(self, node: str, network: str) -> tuple[model.Subnet, ...]:
        """What a node has, as far as it was needed yet."""
        slices = self._slices.get(network)
        return slices.get(node) if slices is not None else ()

    def get(self, node: str, network: model.Network) -> tuple[model.Subnet, ...]:
        """What a node has; nothing while it is being taken back."""
        if node in self._leaving.get(network.name, ()):
            return ()
        return self._of(network).get(node)

    def lacking(self, node: str, network: str) -> errors.Exhausted | None:
        return self._lacking.get(network, {}).get(node)

    def networks(self, node: str) -> set[str]:
        """The networks that a node has a part of, or is to have."""
        held = {name for name, slices in self._slices.items() if slices.get(node)}
        return held | {name for name, nodes in self._wanted.items() if node in nodes}

    # What changes it

    def ask(self, node: str, network: str) -> None:
        """A pod of the node waits for a part."""
        self._wanted.setdefault(network, set()).add(node)

    def allocate(self, node: str, network: model.Network) -> tuple[model.Subnet, ...]:
        """What the node is to say that it has; nothing while its own, or another's, is taken back.

        Exhausted if all are in use.
        """
        name = network.name
        if node in self._leaving.get(name, ()):
            return ()
        try:
            found = self._of(network).allocate(node)
        except errors.Exhausted as error:
            if self._take_back(name, node):
                return ()
            self._lacking.setdefault(name, {})[node] = error
            raise
        for table in (self._lacking, self._awaiting):
            table.get(name, {}).pop(node, None)
        return found

    def settle(self, info: model.NodeInfo) -> None:
        """What a Node says now: a part that it had is free, one that it asked for is there."""
        said = {name for name, subnets in info.subnets if subnets}
        for name in said:
            if info.subnets_of(name) == self.known(info.name, name):
                self._wanted.get(name, set()).discard(info.name)
        for name, nodes in list(self._leaving.items()):
            if info.name in nodes and name not in said:
                nodes.discard(info.name)
                self._release(name, info.name)
                self._wake(info.name)

    def forget(self, node: str) -> None:
        """The Node is gone: what no pod uses any more is free."""
        for table in (self._wanted, self._leaving):
            for nodes in table.values():
                nodes.discard(node)
        for name in list(self._slices):
            self._lacking.get(name, {}).pop(node, None)
            self._awaiting.get(name, {}).pop(node, None)
            if not self._holdings.is_held(names.scope(name, node)):
                self._release(name, node)

    def let_go(self, network: str) -> None:
        """A pod let go of something: perhaps a part can be taken back for who lacks one."""
        if self._lacking.get(network):
            self._retry(network)

    def end(self, network: str) -> None:
        """The network is no more."""
        slices = self._slices.pop(network, None)
        for table in (self._wanted, self._lacking, self._awaiting, self._leaving):
            table.pop(network, None)
        for node in slices.nodes() if slices else ():
            self._wake(node)

    # Between

    def _release(self, network: str, node: str) -> None:
        self._holdings.drop_part(network, node)
        if self._slices[network].release(node):
            self._retry(network)

    def _retry(self, network: str) -> None:
        """Who lacks a part tries again, if its pods still ask."""
        waiting = {**self._awaiting.pop(network, {}), **self._lacking.pop(network, {})}
        for node in waiting:
            self._wanted.get(network, set()).discard(node)
            self._wake(node)

    def _take_back(self, network: str, node: str) -> bool:
        """Whether a part that nobody uses is on its way; one for each node that waits."""
        leaving = self._leaving.setdefault(network, set())
        awaiting = self._awaiting.setdefault(network, {})
        awaiting[node] = None
        if len(leaving) >= len(awaiting):
            return True
        idle = next((each for each in self._idle(network) if each not in leaving), None)
        if idle is None:
            del awaiting[node]
            return False
        log.info("network %s: Node %s gives its part back to Node %s", network, idle, node)
        leaving.add(idle)
        self._wake(idle)
        return True

    def _idle(self, network: str) -> Iterator[str]:
        """Nodes whose part no pod uses or asks for; never of the cluster's own network."""
        if network == names.DEFAULT_NETWORK:
            return
        wanted = self._wanted.get(network, ())
        for node in self._slices[network].nodes():
            if node not in wanted and not self._holdings.is_held(names.scope(network, node)):
                yield node

    def _of(self, network: model.Network) -> Slices:
        """The slices of a network, from pods and Nodes when first asked for."""
        known = self._slices.get(network.name)
        if known is not None and known.spec == network.spec:
            return known
        fresh = self._slices[network.name] = Slices(network.spec)
        for node, subnets in self._claims(network.name):
            try:
                fresh.reserve(node, subnets)
            except errors.WeftError as error:
                log.warning("%s; the node gets another", error)
                self._wake(node)
        return fresh

    def _claims(self, network: str) -> Iterator[tuple[str, tuple[model.Subnet, ...]]]:
        """Who has what, in the order in which it counts."""
        infos = {info.name: info for info in self._nodes()}
        held = self._holdings.parts(network)
        for name in (*(name for name in infos if name in held), *sorted(held.keys() - infos)):
            said = infos[name].subnets_of(network) if name in infos else ()
            is_held = any(set(part) <= set(said) for part in held[name])
            yield name, said if is_held else held[name].most_common(1)[0][0]
        for name, info in infos.items():
            if name not in held and info.subnets_of(network):
                yield name, info.subnets_of(network)
