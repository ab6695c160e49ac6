"""Nodes' parts under everything that may happen: none is ever two nodes', none leaves its pods."""

from __future__ import annotations

from ipaddress import ip_network

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from weft import errors, model
from weft.alloc.shares import Share
from weft.control.cluster.holdings import Holdings
from weft.control.cluster.parts import Parts

RED = model.Network(
    model.NetworkSpec(
        "red", model.Topology.LAYER3, 1400, (ip_network("10.1.0.0/23"),), host_prefix=(24,)
    ),
    3,
)
NODES = [f"n{number}" for number in range(4)]  # and two parts
ATTACHMENT = model.Attachment("a/red", "a/red", "net1")
Part = tuple[model.Subnet, ...]


class Nodes(RuleBasedStateMachine):
    """`said` is what each Node says, `holders` the pods of each node that hold an address."""

    def __init__(self) -> None:
        super().__init__()
        self.said: dict[str, Part] = dict.fromkeys(NODES, ())
        self.holders: dict[str, list[str]] = {node: [] for node in NODES}
        self.waiting: set[str] = set()
        self.pods = 0
        self.holdings = Holdings()
        self.start()

    def start(self) -> None:
        self.due: list[str] = []
        self.awake: list[str] = []  # nodes whose waiting pods ask again
        self.parts = Parts(self.holdings, self.infos, self.wake)

    def wake(self, node: str) -> None:
        self.due.append(node)
        self.awake.append(node)

    def infos(self) -> list[model.NodeInfo]:
        return [self.info(node) for node in self.said]

    def info(self, node: str) -> model.NodeInfo:
        held = self.said[node]
        return model.NodeInfo(node, subnets=(("red", held),) if held else ())

    @rule(node=st.sampled_from(NODES))
    def comes(self, node: str) -> None:
        self.said.setdefault(node, ())
        self.due.append(node)

    @rule(node=st.sampled_from(NODES))
    def goes(self, node: str) -> None:
        if self.said.pop(node, None) is not None:
            self.waiting.discard(node)
            self.parts.forget(node)

    @rule(node=st.sampled_from(NODES), other=st.sampled_from(NODES))
    def is_edited(self, node: str, other: str) -> None:
        if node in self.said:
            self.said[node] = self.said.get(other, ())
            self.parts.settle(self.info(node))
            self.wake(node)

    @rule(node=st.sampled_from(NODES))
    def a_pod_asks(self, node: str) -> None:
        said = self.said.get(node)
        if said and said == self.parts.get(node, RED):
            self.pods += 1
            uid = f"u{self.pods}"
            self.holdings.allocate(RED, uid, ATTACHMENT, f"Pod {uid}", share=Share(node, said))
            self.holders[node].append(uid)
            self.waiting.discard(node)
        elif said is not None:
            self.waiting.add(node)
            self.parts.ask(node, "red")
            self.due.append(node)

    @rule(node=st.sampled_from(NODES))
    def a_pod_waits_until_it_is_served(self, node: str) -> None:
        self.a_pod_asks(node)
        self.all_is_written()

    @rule(node=st.sampled_from(NODES))
    def a_pod_goes(self, node: str) -> None:
        if self.holders[node]:
            self.holdings.release(self.holders[node].pop())
            if node not in self.said:
                self.parts.forget(node)
            self.parts.let_go("red")

    @rule()
    def all_is_written(self) -> None:
        """Reconciles until nothing is due, each Node saying at once what it is to say."""
        for _ in range(200):
            while self.awake:
                node = self.awake.pop(0)
                if node in self.waiting:
                    self.a_pod_asks(node)
            if not self.due:
                return
            node = self.due.pop(0)
            if node in self.said:
                self.reconcile(node)
        raise AssertionError("nodes wake each other for ever")

    def reconcile(self, node: str) -> None:
        part: Part = ()
        if self.said[node] or "red" in self.parts.networks(node):
            try:
                part = self.parts.allocate(node, RED)
            except errors.Exhausted:
                pass
        before, self.said[node] = self.said[node], part
        self.parts.settle(self.info(node))
        if part != before:
            self.wake(node)

    @rule()
    def the_manager_restarts(self) -> None:
        self.start()
        for node in self.said:
            self.wake(node)

    @rule(node=st.sampled_from(NODES), other=st.sampled_from(NODES))
    def is_edited_while_no_manager_runs(self, node: str, other: str) -> None:
        if node in self.said:
            self.said[node] = self.said.get(other, ())
        self.the_manager_restarts()
        self.all_is_written()

    @invariant()
    def no_part_is_two_nodes(self) -> None:
        held = [part for node in NODES if (part := self.parts.known(node, "red"))]
        assert len(held) == len(set(held))

    @invariant()
    def a_part_stays_with_its_pods(self) -> None:
        held = self.holdings.parts("red")
        assert set(held) == {node for node, uids in self.holders.items() if uids}
        owned = [part for counted in held.values() for part in counted]
        assert len(owned) == len(set(owned)), "pods of two nodes share a part"
        for node, counted in held.items():
            assert self.parts.known(node, "red") in ((), *counted)

    def teardown(self) -> None:
        """Whoever still lacks a part does so because pods hold all of them."""
        self.all_is_written()
        for node in list(self.said):
            self.a_pod_waits_until_it_is_served(node)
            if not self.holders[node]:
                assert self.parts.lacking(node, "red")
                assert len(self.holdings.parts("red")) == 2


TestNodes = Nodes.TestCase
TestNodes.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
