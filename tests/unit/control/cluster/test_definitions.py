from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import pytest

from weft import model, names
from weft.control.cluster import definitions


def nad(name: str, created: str = "2026-01-01T00:00:00Z", **config: Any) -> dict[str, Any]:
    namespace = config.pop("namespace", "default")
    notes = config.pop("notes", {})
    conf = {
        "cniVersion": "1.0.0",
        "type": names.CNI_TYPE,
        "name": "blue",
        "topology": "layer2",
        "subnets": "10.1.0.0/24",
        "netAttachDefName": f"{namespace}/{name}",
        **config,
    }
    meta = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "annotations": notes}
    return {
        "metadata": {**meta, "creationTimestamp": created},
        "spec": {"config": json.dumps(conf)},
    }


def read(obj: dict[str, Any], underlay_mtu: int = 1500) -> definitions.Definition:
    return definitions.read(obj, default_mtu=1400, underlay_mtu=underlay_mtu)


def test_the_oldest_leads_in_whatever_order_they_are_seen() -> None:
    three = [
        read(nad("a", "2026-01-02T00:00:00Z")),
        read(nad("b", "2026-01-01T00:00:00Z", mtu=1300)),
        read(nad("c", "2026-01-03T00:00:00Z", mtu=1300)),
    ]
    for order in permutations(three):
        settled = definitions.settle(order)
        assert settled.accepted == {"default/b", "default/c"}
        assert list(settled.refused) == ["default/a"]


def test_who_disagrees_is_told_with_whom_and_in_what() -> None:
    settled = definitions.settle(
        [read(nad("a")), read(nad("b", "2026-01-02T00:00:00Z", mtu=1300, namespace="other"))]
    )
    said = settled.refused["other/b"]
    assert "NetworkAttachmentDefinition other/b" in said
    assert "NetworkAttachmentDefinition default/a" in said
    assert "'blue'" in said
    assert "mtu" in said


def test_of_two_made_in_one_second_the_one_that_was_accepted_stays() -> None:
    notes = {names.NETWORK_NAME: "blue", names.NETWORK_ID: "3"}
    later_uid = read(nad("z", notes=notes))
    settled = definitions.settle([read(nad("a", mtu=1300)), later_uid])
    assert settled.accepted == {"default/z"}


@pytest.mark.parametrize("config", ["{", '{"type": "' + names.CNI_TYPE + '"}'])
def test_what_cannot_be_read_says_why(config: str) -> None:
    obj = nad("a")
    obj["spec"]["config"] = config
    definition = read(obj)
    assert definition.spec is None
    assert definition.problem.startswith("Failed to parse network config: ")
    assert "NetworkAttachmentDefinition default/a" in definition.problem


def test_another_plugins_definition_is_none_of_ours() -> None:
    obj = nad("a")
    obj["spec"]["config"] = '{"type": "macvlan"}'
    definition = read(obj)
    assert definition.spec is None
    assert not definition.problem
    assert definitions.settle([definition]) == definitions.Settlement()


def test_an_mtu_that_the_underlay_cannot_carry_is_warned_of_with_both_numbers() -> None:
    definition = read(nad("a", mtu=1500))
    assert definition.spec is not None
    assert "1500" in definition.warning
    assert "1442" in definition.warning
    assert not read(nad("a", mtu=1500), underlay_mtu=9000).warning
    assert not read(nad("a", mtu=1500), underlay_mtu=0).warning


def test_ids_given_earlier_are_kept_and_none_is_given_twice() -> None:
    def noted(name: str, network: str, number: str, created: str) -> definitions.Definition:
        obj = nad(name, created, notes={names.NETWORK_NAME: network, names.NETWORK_ID: number})
        conf = json.loads(obj["spec"]["config"]) | {"name": network}
        return read(obj | {"spec": {"config": json.dumps(conf)}})

    ids = definitions.noted_ids(
        [
            noted("a", "red", "5", "2026-01-02T00:00:00Z"),
            noted("b", "blue", "5", "2026-01-01T00:00:00Z"),
            noted("c", "blue", "9", "2026-01-03T00:00:00Z"),
            noted("d", "green", "many", "2026-01-03T00:00:00Z"),
            noted("e", "grey", "0", "2026-01-03T00:00:00Z"),
        ]
    )
    assert ids == {"blue": 5}


def test_notes_are_written_once_and_taken_from_who_is_refused() -> None:
    definition = read(nad("a"))
    assert definition.spec is not None
    network = model.Network(definition.spec, 7)
    wanted = definitions.wanted_notes(definition, network)
    assert wanted == {names.NETWORK_NAME: "blue", names.NETWORK_ID: "7"}
    noted = read(nad("a", notes=wanted))
    assert definitions.wanted_notes(noted, network) == {}
    assert definitions.wanted_notes(noted, None) == {
        names.NETWORK_NAME: None,
        names.NETWORK_ID: None,
    }
    assert definitions.wanted_notes(definition, None) == {}
