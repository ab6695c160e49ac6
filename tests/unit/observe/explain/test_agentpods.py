"""Which pods are asked in the name of a node: weft's agents alone, not who is labelled so."""

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.support.explained import BLUE, evidence
from weft import errors
from weft.observe.explain import agentpods, probeframes, sentence
from weft.observe.explain.evidence import Probe, Unseen
from weft.observe.reach import ProbeResult

LABELS = {"app.kubernetes.io/name": "weft", "app.kubernetes.io/component": "node"}


class Holding(agentpods.AgentPods):
    """Agents' pods that answer each order."""

    def __init__(self) -> None:
        super().__init__([], (), "", "weft-system", probes=True)
        self.orders: list[Mapping[str, Any]] = []

    async def hold(
        self, node: str, module: str, order: Mapping[str, Any], patience: float
    ) -> Mapping[str, Any]:
        self.orders.append(order)
        return {"reply": "an echo reply", "full": ""}


async def test_a_packet_is_no_larger_than_a_switch_can_be_handed() -> None:
    """The programs that hand it over get it as one argument, of which Linux takes 128 KiB."""
    pods, whole = Holding(), evidence(network=replace(BLUE, mtu=65535))
    probe = await pods.probe(whole, 1.0)
    (order,) = pods.orders
    assert order["size"] == probeframes.LARGEST
    packet = {**order["packet"], "protocol": "ICMP", "size": order["size"]}
    assert len(probeframes.request(packet, 1, 1).hex()) < 128 * 1024 - 200
    found = sentence.explain(replace(whole, probe=probe))
    assert "packets of 65000 bytes (the network's MTU is 65535) are lost" in found.sentence


def owner(**changes: Any) -> dict[str, Any]:
    own = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "weft-node", "controller": True}
    return {**own, **changes}


def agent(name: str = "weft-node-x", **changes: Any) -> dict[str, Any]:
    meta = {
        "namespace": "weft-system",
        "name": name,
        "labels": LABELS,
        "ownerReferences": [owner()],
    }
    return {"metadata": {**meta, **changes}, "spec": {"nodeName": "node1"}}


def test_the_agent_of_a_node_is_the_pod_of_wefts_daemonset() -> None:
    assert agentpods.agents([agent()]) == {"node1": "weft-node-x"}
    assert agentpods.agents([agent(namespace="net")], "net") == {"node1": "weft-node-x"}


@pytest.mark.parametrize(
    "changes",
    [
        {"namespace": "shop"},
        {"ownerReferences": []},
        {"ownerReferences": None},
        {"ownerReferences": [owner(controller=False)]},
        {"ownerReferences": [owner(name="mine")]},
        {"ownerReferences": [owner(kind="ReplicaSet")]},
        {"ownerReferences": [owner(apiVersion="example.org/v1")]},
    ],
    ids=str,
)
def test_a_pod_that_only_looks_like_an_agent_is_not_asked(changes: dict[str, Any]) -> None:
    posing = agent("poses", **changes)
    assert agentpods.agents([posing]) == {}
    assert agentpods.agents([agent(), posing]) == {"node1": "weft-node-x"}


def test_a_pod_that_waits_for_a_node_is_nobodys_agent() -> None:
    assert agentpods.agents([{**agent(), "spec": {}}]) == {}


def test_an_agent_that_ends_gives_way_to_the_one_that_follows() -> None:
    ends = agent("old", deletionTimestamp="2026-01-01T00:00:00Z")
    assert agentpods.agents([agent("new"), ends]) == {"node1": "new"}
    assert agentpods.agents([ends, agent("new")]) == {"node1": "new"}


@pytest.mark.parametrize(
    "output", [b"", b"text", b"[]", b'"x"', b"[" * 200_000, b'{"a": ' * 200_000, b"9" * 5000]
)
def test_an_answer_that_cannot_be_read_is_no_answer(output: bytes) -> None:
    with pytest.raises(errors.Unavailable):
        agentpods.answer("node1", output)


async def test_the_input_of_who_holds_it_ends_with_the_time_given() -> None:
    argv = ("sh", "-c", 'read -r line; echo "$line"; cat')
    assert await agentpods.output("node1", argv, b"asked\n", os.environ) == b"asked\n"
    with pytest.raises(errors.Unavailable, match=r"no answer within 0\.5 s"):
        await agentpods.output("node1", argv, b"asked\n", os.environ, 0.5, holds=True)


BY = "sent in default/a's name by the switch of node1"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"error": "no"}, Unseen("no")),
        ({"reply": ""}, Probe(ProbeResult.SILENT, by=BY)),
        ({"reply": "RST"}, Unseen(agentpods.NO_PING)),
        ({"reply": "RST", "full": ""}, ProbeResult.SILENT),
        ({"reply": "an echo reply", "full": "an echo reply"}, ProbeResult.ANSWERED),
    ],
    ids=str,
)
def test_what_came_of_a_probe_and_of_one_as_large_as_the_mtu(
    answer: dict[str, str], expected: Any
) -> None:
    found = agentpods.probed(answer, BY, 1300)
    if isinstance(found, Probe) and found.result is ProbeResult.ANSWERED:
        assert (found.full, found.size) == (expected, 1300)
        assert found.by == f"{BY}; {answer['reply']} came back"
    else:
        assert found == expected
