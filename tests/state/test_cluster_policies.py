"""Policies in, statuses and notes out, whatever order things come in."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from tests.support import cluster_world as world
from tests.support import policies
from tests.support.cluster_world import manage, managed, messages, settled
from tests.support.memory_api import MemoryApi
from weft import names
from weft.control.cluster import policies as control
from weft.kube import errors, events
from weft.kube.resources import MULTINETWORKPOLICIES, NADS, NAMESPACES, PODS, Resource

Object = dict[str, Any]
WEB = {"matchLabels": {"app": "web"}}
FROM_WEB = [{"from": [{"podSelector": WEB}]}]
KEY = "default/guard"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "QUIET", 0.0)
    monkeypatch.setattr(events, "_QUIET", 0.0)


def policy(name: str = "guard", **spec: Any) -> Object:
    made = policies.written(**spec)
    made["metadata"] |= {"namespace": "default", "name": name, "uid": f"policy-{name}"}
    return {**made, "metadata": {**made["metadata"], "generation": 1}}


def pod(name: str, networks: object = "blue", namespace: str = "default", **labels: str) -> Object:
    return world.pod(name, networks, namespace=namespace, labels=labels)


def status(api: MemoryApi, key: str = KEY) -> Object:
    found: Object = api.of(MULTINETWORKPOLICIES, key).get("status") or {}
    return found


def reasons(api: MemoryApi, key: str = KEY) -> list[str]:
    return [each["reason"] for each in status(api, key)["conditions"]]


def note(api: MemoryApi, key: str = KEY) -> str:
    notes = api.of(MULTINETWORKPOLICIES, key)["metadata"]["annotations"]
    return str(notes.get(names.ACCEPTED_POLICY, ""))


def writes(api: MemoryApi) -> int:
    return sum(kind == MULTINETWORKPOLICIES.kind for _, kind, _ in api.writes)


async def test_a_policy_hears_what_it_guards() -> None:
    api = MemoryApi()
    api.put(NADS, world.nad("blue"))
    api.put(NADS, world.nad("azure", "blue"))
    for made in (pod("a", app="web"), pod("b", "blue,azure"), pod("c", "default/blue", "other")):
        api.put(PODS, made)
    api.put(PODS, pod("elsewhere", ""))
    api.put(MULTINETWORKPOLICIES, policy(ingress=FROM_WEB))
    await manage(api)
    assert status(api)["networks"] == [
        {"name": "blue", "networkAttachmentDefinitions": ["default/blue"], "ports": 3}
    ]
    assert reasons(api) == ["Accepted", "Bound", "AllMatch"]
    assert '"podSelector"' in note(api)
    assert messages(api, "guard") == []


async def test_nothing_is_written_twice() -> None:
    api = MemoryApi()
    api.put(NADS, world.nad("blue"))
    api.put(PODS, pod("a", app="web"))
    await manage(api)
    api.put(MULTINETWORKPOLICIES, policy(ingress=FROM_WEB))
    await manage(api)
    assert writes(api) == 2, "its note and its status"
    async with managed(api) as manager:
        await settled(api, manager)
        api.change(PODS, "default/a", {"metadata": {"labels": {"other": "x"}}})
        await settled(api, manager)
    assert writes(api) == 2


async def test_the_first_policy_counts_whoever_was_there_before_and_comes_after() -> None:
    api = MemoryApi()
    api.put(NADS, world.nad("blue"))
    api.put(PODS, pod("a"))
    async with managed(api) as manager:
        await settled(api, manager)
        api.put(PODS, pod("b"))
        api.remove(PODS, "default/a")
        await settled(api, manager)
        api.put(MULTINETWORKPOLICIES, policy())
        await settled(api, manager)
        assert status(api)["ports"] == 1
        api.put(PODS, pod("c"))
        await settled(api, manager)
        assert status(api)["ports"] == 2


async def test_it_follows_pods_labels_networks_and_namespaces() -> None:
    api = MemoryApi()
    rules = [{"from": [{"namespaceSelector": WEB}]}]
    api.put(MULTINETWORKPOLICIES, policy(podSelector=WEB, ingress=rules))
    async with managed(api) as manager:
        await settled(api, manager)
        assert reasons(api) == ["Accepted", "NetworkMissing", "NotBound"]
        assert "NetworkAttachmentDefinition default/blue: does not exist" in str(status(api))
        api.put(NADS, world.nad("blue"))
        await settled(api, manager)
        assert reasons(api) == ["Accepted", "NoPods", "NothingMatches"]
        assert len(status(api)["unmatched"]) == 2
        api.put(PODS, pod("a"))
        api.put(PODS, pod("b", "default/blue", namespace="other"))
        api.put(NAMESPACES, {"metadata": {"name": "other", "uid": "n"}})
        await settled(api, manager)
        assert status(api)["ports"] == 0
        api.change(PODS, "default/a", {"metadata": {"labels": {"app": "web"}}})
        await settled(api, manager)
        assert reasons(api) == ["Accepted", "Bound", "NothingMatches"]
        api.change(NAMESPACES, "other", {"metadata": {"labels": {"app": "web"}}})
        await settled(api, manager)
        assert reasons(api) == ["Accepted", "Bound", "AllMatch"]
        api.change(PODS, "other/b", {"status": {"phase": "Succeeded"}})
        api.remove(PODS, "default/a")
        await settled(api, manager)
        assert reasons(api) == ["Accepted", "NoPods", "NothingMatches"]
        api.remove(NADS, "default/blue")
        await settled(api, manager)
        assert reasons(api) == ["Accepted", "NetworkMissing", "NotBound"]


async def test_a_network_whose_nad_goes_stays_guarded() -> None:
    """As long as another one is of it: the note says which network it was."""
    api = MemoryApi()
    api.put(NADS, world.nad("azure", "blue"))
    api.put(PODS, pod("a", "azure", app="web"))
    api.put(MULTINETWORKPOLICIES, policy(ingress=FROM_WEB))
    async with managed(api) as manager:
        await settled(api, manager)
        assert "networks" not in json.loads(note(api))
        api.put(NADS, world.nad("blue"))
        await settled(api, manager)
        assert json.loads(note(api))["networks"] == {"default/blue": "blue"}
        api.remove(NADS, "default/blue")
        await settled(api, manager)
    for _ in range(2):  # a new manager knows it from the note
        assert json.loads(note(api))["networks"] == {"default/blue": "blue"}
        assert status(api)["networks"] == [
            {"name": "blue", "networkAttachmentDefinitions": [], "ports": 1}
        ]
        bound = status(api)["conditions"][1]
        assert (bound["status"], bound["reason"]) == ("False", "NetworkMissing")
        assert "network blue, which it was of, stays guarded" in bound["message"]
        await manage(api)


async def test_a_name_of_a_port_that_no_pod_has() -> None:
    api = MemoryApi()
    api.put(NADS, world.nad("blue"))
    api.put(PODS, pod("a", app="web"))
    rules = [{"ports": [{"port": "https"}, {"port": "http", "protocol": "UDP"}]}]
    api.put(MULTINETWORKPOLICIES, policy(podSelector=WEB, ingress=rules))
    async with managed(api) as manager:
        await settled(api, manager)
        assert [each["field"] for each in status(api)["unmatched"]] == ["spec.ingress[0].ports"] * 2
        names_both = pod("b", app="web")
        names_both["spec"]["containers"][0]["ports"] = [
            {"name": "https", "containerPort": 443},
            {"name": "http", "containerPort": 80},
        ]
        api.put(PODS, names_both)
        await settled(api, manager)
        (left,) = status(api)["unmatched"]
        assert left["selects"].endswith("that have a UDP port http")
        api.remove(PODS, "default/a")
        api.remove(PODS, "default/b")
        await settled(api, manager)
        assert [each["field"] for each in status(api)["unmatched"]] == ["spec.podSelector"]


async def test_a_broken_edit_leaves_what_was_accepted_in_force() -> None:
    api = MemoryApi()
    api.put(NADS, world.nad("blue"))
    api.put(PODS, pod("a", app="web"))
    api.put(MULTINETWORKPOLICIES, policy(podSelector=WEB))
    await manage(api)
    kept = note(api)
    api.change(MULTINETWORKPOLICIES, KEY, {"spec": {"policyTypes": ["Inbound"]}})
    for _ in range(2):  # by who saw it before, and by who starts anew
        await manage(api)
        assert reasons(api) == ["Invalid", "Bound", "AllMatch"]
        assert status(api)["ports"] == 1
        assert note(api) == kept
        (message,) = messages(api, "guard")
        assert message.startswith(
            f'InvalidPolicy: MultiNetworkPolicy {KEY}: spec.policyTypes[0] "Inbound": must be one'
        )
        assert message.endswith("the version accepted last stays in force")
    api.change(MULTINETWORKPOLICIES, KEY, {"spec": {"policyTypes": ["Egress"]}})
    await manage(api)
    assert reasons(api) == ["Accepted", "Bound", "AllMatch"]
    assert note(api) != kept


async def test_a_break_before_the_note_was_written_is_noted_as_it_was() -> None:
    api = MemoryApi()
    api.put(MULTINETWORKPOLICIES, policy())
    async with managed(api) as manager:
        await settled(api, manager)
        api.change(MULTINETWORKPOLICIES, KEY, {"spec": {"policyTypes": ["Egress"]}})
        api.change(MULTINETWORKPOLICIES, KEY, {"spec": {"policyTypes": ["x"]}})
        await settled(api, manager)
    assert "Egress" in note(api)


async def test_a_note_that_was_taken_off_comes_back() -> None:
    api = MemoryApi()
    api.put(MULTINETWORKPOLICIES, policy())
    async with managed(api) as manager:
        await settled(api, manager)
        kept = note(api)
        api.put(MULTINETWORKPOLICIES, policy(policyTypes=["x"]))  # as kubectl replace does
        await settled(api, manager)
        assert note(api) == kept
        assert reasons(api)[0] == "Invalid"


async def test_what_was_never_good() -> None:
    api = MemoryApi()
    api.put(MULTINETWORKPOLICIES, policy(networks=""))
    await manage(api)
    assert reasons(api) == ["Invalid", "Invalid", "NotBound"]
    assert status(api)["mode"] == "none"
    assert note(api) == ""
    (message,) = messages(api, "guard")
    assert "policy-for: is missing or empty" in message
    assert message.endswith("no part of it is in force")


async def test_each_skipped_part_is_an_event() -> None:
    api = MemoryApi()
    api.put(NADS, world.nad("blue"))
    rules = [{"from": [{"ipBlock": {"cidr": "10.0.0.1"}}], "ports": [{"port": "80"}]}]
    api.put(MULTINETWORKPOLICIES, policy(ingress=rules))
    await manage(api)
    assert reasons(api)[0] == "PartsSkipped"
    assert (
        sorted(message.partition(":")[0] for message in messages(api, "guard"))
        == ["PartSkipped"] * 2
    )
    assert any("write the number without quotes" in message for message in messages(api, "guard"))


async def test_networks_that_are_not_wefts() -> None:
    api = MemoryApi()
    api.put(NADS, world.nad("blue", type="macvlan"))
    api.put(NADS, world.nad("red", topology="ring"))
    api.put(MULTINETWORKPOLICIES, policy(networks="blue,red"))
    await manage(api)
    assert reasons(api) == ["Accepted", "NetworkMissing", "NotBound"]
    (message,) = messages(api, "guard")
    assert "default/blue: belongs to another plugin" in message
    assert "default/red: is invalid" in message


async def test_wrong_logging_is_reported_of_the_namespace() -> None:
    api = MemoryApi()
    notes = {names.ACL_LOGGING: '{"deny": "loud"}'}
    api.put(NAMESPACES, {"metadata": {"name": "team", "uid": "n", "annotations": notes}})
    async with managed(api) as manager:
        await settled(api, manager)
        api.change(NAMESPACES, "team", {"metadata": {"labels": {"a": "b"}}})
        await settled(api, manager)
    (message,) = messages(api, "team")
    assert message.startswith(
        'InvalidACLLogging: Namespace team: k8s.ovn.org/acl-logging.deny "loud": must be one of'
    )


class NoStatus(MemoryApi):
    """A cluster whose kind of policies has no status."""

    async def patch(
        self, res: Resource, name: str, namespace: str, body: Any, **how: Any
    ) -> Object:
        if res == MULTINETWORKPOLICIES and how.get("subresource"):
            raise errors.NotFound(404, "NotFound", "the server could not find the resource")
        return await super().patch(res, name, namespace, body, **how)


async def test_without_a_status_events_tell() -> None:
    api = NoStatus()
    api.put(NADS, world.nad("blue"))
    api.put(PODS, pod("a", app="web"))
    await manage(api)
    api.put(MULTINETWORKPOLICIES, policy(podSelector=WEB))
    async with managed(api) as manager:
        await settled(api, manager)
        assert status(api) == {}
        assert note(api)
        assert sorted(message.partition(":")[0] for message in messages(api, "guard")) == [
            "Accepted",
            "AllMatch",
            "Bound",
        ]
        api.put(PODS, pod("b", app="web"))
        await settled(api, manager)
        assert len(messages(api, "guard")) == 3
        api.remove(PODS, "default/a")
        api.remove(PODS, "default/b")
        await settled(api, manager)
        assert any(
            message.startswith(f"NoPods: MultiNetworkPolicy {KEY}: no pod")
            for message in messages(api, "guard")
        )


@pytest.mark.parametrize("seed", range(12))
async def test_the_order_of_things_leaves_no_trace(seed: int) -> None:
    """The end is that of a manager that has seen only the end."""
    chance, api = random.Random(seed), MemoryApi()
    api.put(MULTINETWORKPOLICIES, policy(podSelector=WEB, ingress=FROM_WEB))

    def step() -> None:
        name = chance.choice("abc")
        labels = chance.choice([{"app": "web"}, {"app": "db"}, {}])
        key = f"default/{name}"
        match chance.randrange(6):
            case 0 | 1:
                if key not in api.all(PODS):
                    api.put(PODS, pod(name, chance.choice(["blue", "azure", "red"]), **labels))
            case 2:
                if key in api.all(PODS):
                    api.remove(PODS, key)
            case 3:
                if key in api.all(PODS):
                    api.change(PODS, key, {"metadata": {"labels": labels or {"app": None}}})
            case 4:
                nad = chance.choice(["blue", "azure"])
                api.put(NADS, world.nad(nad, chance.choice(["blue", "azure", "red"])))
            case 5:
                spec = chance.choice([{"podSelector": WEB}, {"podSelector": {}}, {"ingress": None}])
                api.change(MULTINETWORKPOLICIES, KEY, {"spec": spec})

    async with managed(api) as manager:
        for _ in range(40):
            step()
            if chance.random() < 0.3:
                await settled(api, manager)
        await settled(api, manager)
    before = status(api)
    api.change(MULTINETWORKPOLICIES, KEY, {"status": None})
    await manage(api)
    for each in (before, status(api)):
        for condition in each["conditions"]:
            del condition["lastTransitionTime"]
    assert before == status(api)
