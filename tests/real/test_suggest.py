"""Policies that are suggested of what two real zones saw: in audit mode first, then in force."""

from __future__ import annotations

from typing import Any

import pytest

from tests.real.test_flows import Scene, build
from tests.support.policed import NAMESPACE
from tests.support.realised import Cluster
from weft import names
from weft.observe.suggest import advice
from weft.observe.suggest.advice import Advice, Question
from weft.policy import netpolicy

pytestmark = pytest.mark.real
TCP, UDP, _ = netpolicy.Protocol
WEB = (TCP, 80)


async def suggested(scene: Scene) -> Advice:
    """What `weft policy suggest --network blue` says without a file."""
    report = await scene.look(networks=("blue",))
    assert report.notices == ()
    return advice.advise(Question(f"{NAMESPACE}/blue"), report.flows, scene.objects())


async def apply(scene: Scene, found: Advice) -> None:
    """The policies of the same names give way."""
    scene.policies.clear()
    await scene.enforce(*map(dict, found.manifests))


def rules(found: Advice) -> dict[str, Any]:
    """Who is admitted at each pod, and by which ports; policies by the pod that they select."""
    return {
        one["spec"]["podSelector"]["matchLabels"]["app"]: {
            direction: [
                (peer["podSelector"]["matchLabels"]["app"], port["protocol"], port["port"])
                for rule in one["spec"].get(direction, ())
                for peer in rule["from" if direction == "ingress" else "to"]
                for port in rule["ports"]
            ]
            for direction in ("ingress", "egress")
        }
        for one in found.manifests
    }


async def test_what_was_seen_passes_and_nothing_else(cluster: Cluster) -> None:
    scene = await build(cluster)
    blue = scene.networks["blue"]

    # No policy: the switch looks at no ports. What is suggested of that drops nothing.
    assert await blue.passes("a", "b", WEB) == {WEB}
    first = await suggested(scene)
    assert first.audit
    assert all(
        one["metadata"]["annotations"][names.POLICY_MODE] == "audit" for one in first.manifests
    )
    await apply(scene, first)

    # Now OVN tracks: the port is known, and who asks whom.
    assert await blue.passes("a", "b", WEB) == {WEB}
    second = await suggested(scene)
    assert not second.audit, list(advice.notices(second))
    assert rules(second) == {
        "a": {"ingress": [], "egress": [("b", "TCP", 80)]},
        "b": {"ingress": [("a", "TCP", 80)], "egress": []},
    }
    same = {one["metadata"]["name"] for one in first.manifests}
    assert {one["metadata"]["name"] for one in second.manifests} <= same

    # The control: audit mode dropped nothing, from anybody to anywhere.
    others = (("a", "b", (TCP, 81)), ("a", "b", (UDP, 80)), ("c", "b", WEB), ("b", "a", WEB))
    for source, to, service in others:
        assert await blue.passes(source, to, service) == {service}
    await apply(scene, second)
    assert await blue.passes("a", "b", WEB) == {WEB}
    for source, to, service in others:
        assert await blue.passes(source, to, service) == set(), (source, to, service)
    assert await blue.passes("a", "c", WEB) == set()
