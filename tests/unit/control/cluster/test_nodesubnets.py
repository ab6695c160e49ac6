"""Nodes' parts under everything that may happen: none is ever two nodes', none leaves its pods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_network

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from weft import errors, model
from weft.alloc import nodesubnets
from weft.control.cluster.allocations import Allocations
from weft.control.cluster.nodesubnets import NodeSubnets
from weft.control.cluster.objects import Node
from weft.control.cluster.outcome import Subject
from weft.kube import resources
from weft.model import ObjectKey

RED = model.Network(
    model.NetworkSpec(
        "red", model.Topology.LAYER3, 1400, (ip_network("10.1.0.0/23"),), host_prefix=(24,)
    ),
    3,
)
NODES = [f"n{number}" for number in range(4)]  # and two parts
ATTACHMENT = model.Attachment(ObjectKey("a", "red"), "a/red", "net1")
Subnets = tuple[model.Subnet, ...]


class NodesInOrder(Mapping[str, Node]):
    """The Nodes as the cluster manager sees them: the eldest first, as they came."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes

    def __getitem__(self, name: str) -> Node:
        subject = Subject(resources.NODES, ObjectKey("", name), name)
        created = str(list(self._nodes.annotated).index(name))
        return Node(subject, "1", created, self._nodes.info(name), {})

    def __iter__(self) -> Iterator[str]:
        return iter(self._nodes.annotated)

    def __len__(self) -> int:
        return len(self._nodes.annotated)


class Nodes(RuleBasedStateMachine):
    """`annotated`: the subnets in each Node's annotation; `holders`: pods with addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.annotated: dict[str, Subnets] = dict.fromkeys(NODES, ())
        self.holders: dict[str, list[str]] = {node: [] for node in NODES}
        self.waiting: set[str] = set()
        self.pods = 0
        self.allocations = Allocations()
        self.start()

    def start(self) -> None:
        self.due: list[str] = []
        self.awake: list[str] = []  # nodes whose waiting pods ask again
        self.subnets = NodeSubnets(self.allocations, NodesInOrder(self))

    def wake(self, node: str) -> None:
        self.due.append(node)
        self.awake.append(node)

    def take(self) -> None:
        for node in self.subnets.take_changed():
            self.wake(node)

    def info(self, node: str) -> model.NodeInfo:
        held = self.annotated[node]
        return model.NodeInfo(node, subnets=(("red", held),) if held else ())

    @rule(node=st.sampled_from(NODES))
    def comes(self, node: str) -> None:
        self.annotated.setdefault(node, ())
        self.due.append(node)

    @rule(node=st.sampled_from(NODES))
    def goes(self, node: str) -> None:
        if self.annotated.pop(node, None) is not None:
            self.waiting.discard(node)
            self.subnets.forget(node)

    @rule(node=st.sampled_from(NODES), other=st.sampled_from(NODES))
    def is_edited(self, node: str, other: str) -> None:
        if node in self.annotated:
            self.annotated[node] = self.annotated.get(other, ())
            self.subnets.settle(self.info(node))
            self.wake(node)

    @rule(node=st.sampled_from(NODES))
    def a_pod_asks(self, node: str) -> None:
        annotated = self.annotated.get(node)
        if annotated and annotated == self.subnets.get(node, RED):
            self.pods += 1
            uid = f"u{self.pods}"
            self.allocations.allocate(
                RED,
                uid,
                ATTACHMENT,
                f"Pod {uid}",
                node_subnets=nodesubnets.NodeSubnets(node, annotated),
            )
            self.holders[node].append(uid)
            self.waiting.discard(node)
        elif annotated is not None:
            self.waiting.add(node)
            self.subnets.ask(node, "red")
            self.due.append(node)

    @rule(node=st.sampled_from(NODES))
    def a_pod_waits_until_it_is_served(self, node: str) -> None:
        self.a_pod_asks(node)
        self.all_is_written()

    @rule(node=st.sampled_from(NODES))
    def a_pod_goes(self, node: str) -> None:
        if self.holders[node]:
            self.allocations.release(self.holders[node].pop())
            if node not in self.annotated:
                self.subnets.forget(node)
            self.subnets.let_go("red")

    @rule()
    def all_is_written(self) -> None:
        """Reconciles until nothing is due, each Node saying at once what it is to say."""
        for _ in range(200):
            self.take()
            while self.awake:
                node = self.awake.pop(0)
                if node in self.waiting:
                    self.a_pod_asks(node)
            if not self.due:
                return
            node = self.due.pop(0)
            if node in self.annotated:
                self.reconcile(node)
        raise AssertionError("nodes wake each other for ever")

    def reconcile(self, node: str) -> None:
        part: Subnets = ()
        if self.annotated[node] or "red" in self.subnets.networks(node):
            try:
                part = self.subnets.allocate(node, RED)
            except errors.Exhausted:
                pass
        before, self.annotated[node] = self.annotated[node], part
        self.subnets.settle(self.info(node))
        if part != before:
            self.wake(node)

    @rule()
    def the_manager_restarts(self) -> None:
        self.start()
        for node in self.annotated:
            self.wake(node)

    @rule(node=st.sampled_from(NODES), other=st.sampled_from(NODES))
    def is_edited_while_no_manager_runs(self, node: str, other: str) -> None:
        if node in self.annotated:
            self.annotated[node] = self.annotated.get(other, ())
        self.the_manager_restarts()
        self.all_is_written()

    @invariant()
    def no_subnets_are_two_nodes(self) -> None:
        held = [part for node in NODES if (part := self.subnets.known(node, "red"))]
        assert len(held) == len(set(held))

    @invariant()
    def the_subnets_stay_with_its_pods(self) -> None:
        held = self.allocations.ledgers.node_subnets("red")
        assert set(held) == {node for node, uids in self.holders.items() if uids}
        owned = [part for counted in held.values() for part in counted]
        assert len(owned) == len(set(owned)), "pods of two nodes share a part"
        for node, counted in held.items():
            assert self.subnets.known(node, "red") in ((), *counted)

    def teardown(self) -> None:
        """Whoever still lacks a part does so because pods hold all of them."""
        self.all_is_written()
        for node in list(self.annotated):
            self.a_pod_waits_until_it_is_served(node)
            if not self.holders[node]:
                assert self.subnets.lacking(node, "red")
                assert len(self.allocations.ledgers.node_subnets("red")) == 2


TestNodes = Nodes.TestCase
TestNodes.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
