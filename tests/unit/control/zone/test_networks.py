"""Definitions as a zone reads them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from weft import errors, names
from weft.control.zone import networks


def definition(config: object, **notes: str) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "blue",
            "namespace": "default",
            "uid": "u",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "annotations": notes,
        },
        "spec": {"config": config if isinstance(config, str) else json.dumps(config)},
    }


CONFIG = {
    "cniVersion": "1.0.0",
    "name": "blue",
    "type": "ovn-k8s-cni-overlay",
    "topology": "layer2",
    "netAttachDefName": "default/blue",
    "subnets": "10.1.0.0/24",
}
NOTES = {names.NETWORK_NAME: "blue", names.NETWORK_ID: "3"}


def test_a_definition_with_an_id_is_a_network():
    read = networks.read(definition(CONFIG, **NOTES), default_mtu=1380)
    assert read.network.name == "blue"
    assert read.network.id == 3
    assert read.network.spec.mtu == 1380
    assert read.network.owner == "default/blue"
    assert read.age == ("2", "current", "2026-01-01T00:00:00Z")


def test_who_is_noted_as_the_owner_leads_whoever_is_older():
    owner = {**NOTES, names.NETWORK_OWNER: "default/blue"}
    guest = {**NOTES, names.NETWORK_OWNER: "ta/blue"}
    older = definition(CONFIG, **guest)
    older["metadata"]["creationTimestamp"] = "2025-01-01T00:00:00Z"
    leads, follows = (
        networks.read(each, default_mtu=1400) for each in (definition(CONFIG, **owner), older)
    )
    assert leads.age < follows.age


def test_what_was_accepted_last_counts_whatever_it_says_now():
    notes = {**NOTES, names.ACCEPTED_CONFIG: json.dumps(CONFIG)}
    accepted = networks.read(definition(CONFIG, **notes), default_mtu=1400)
    for config in ("{", {**CONFIG, "mtu": 5}, {**CONFIG, "name": "red"}, {"type": "macvlan"}):
        read = networks.read(definition(config, **notes), default_mtu=1400)
        assert read.network == accepted.network
        assert read.age > accepted.age


def test_what_a_cni_call_goes_by_says_what_is_wrong():
    wrong = definition({**CONFIG, "mtu": 5})
    with pytest.raises(errors.InvalidInput, match=r"default/blue: spec.config.mtu 5"):
        networks.spec(wrong, default_mtu=1400)
    wrong["metadata"]["annotations"] = {names.ACCEPTED_CONFIG: json.dumps(CONFIG)}
    accepted = networks.spec(wrong, default_mtu=1400)
    assert accepted is not None
    assert accepted.mtu == 1400
    assert networks.spec(definition({**CONFIG, "type": "macvlan"}), default_mtu=1400) is None


def test_one_that_is_being_deleted_counts_until_it_is_gone():
    obj = definition(CONFIG, **NOTES)
    there = networks.read(obj, default_mtu=1400)
    obj["metadata"] |= {"deletionTimestamp": "2026-01-02T00:00:00Z", "finalizers": ["a/b"]}
    assert there is not None
    assert networks.read(obj, default_mtu=1400) == there


def test_nothing_before_the_cluster_manager_has_spoken():
    for notes in (
        {},
        {names.NETWORK_NAME: "blue"},
        {**NOTES, names.NETWORK_NAME: "other"},
        {**NOTES, names.NETWORK_ID: "x"},
        {**NOTES, names.NETWORK_ID: "0"},
        {**NOTES, names.NETWORK_ID: str(names.MAX_NETWORKS)},
    ):
        assert networks.read(definition(CONFIG, **notes), default_mtu=1400) is None


def test_nothing_of_what_is_wrong_or_anothers():
    for config in ("{", {**CONFIG, "type": "macvlan"}, {**CONFIG, "subnets": "10.1.0.0/99"}):
        assert networks.read(definition(config, **NOTES), default_mtu=1400) is None


def test_what_loses_its_notes_means_what_it_meant_but_leads_no_more():
    noted = networks.read(definition(CONFIG, **NOTES), default_mtu=1400)
    for config in (CONFIG, {**CONFIG, "mtu": 1300}, "{"):
        bare = networks.standing(definition(config), noted, default_mtu=1400)
        assert bare.network == noted.network
        assert bare.age > noted.age
        assert networks.standing(definition(config), bare, default_mtu=1400) == bare
    assert networks.standing(definition(CONFIG, **NOTES), bare, default_mtu=1400) == noted


def test_what_never_had_notes_or_has_others_is_read_as_it_is():
    noted = networks.read(definition(CONFIG, **NOTES), default_mtu=1400)
    assert networks.standing(definition(CONFIG), None, default_mtu=1400) is None
    other = networks.standing(
        definition(CONFIG, **{**NOTES, names.NETWORK_ID: "4"}), noted, default_mtu=1400
    )
    assert other.network.id == 4
    wrong = definition(CONFIG, **{**NOTES, names.NETWORK_ID: "x"})
    assert networks.standing(wrong, noted, default_mtu=1400) is None
