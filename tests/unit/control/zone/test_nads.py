"""NADs as a zone reads them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from weft import errors, names, tunnelkeys
from weft.control.zone import nads, state
from weft.model import ObjectKey


def nad_object(config: object, **notes: str) -> dict[str, Any]:
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


def read(obj: dict[str, Any], default_mtu: int = 1400) -> nads.Nad:
    return nads.read(obj, default_mtu=default_mtu)


def meaning(obj: dict[str, Any], default_mtu: int = 1400) -> state.DeclaredNetwork | None:
    return nads.declared_network(read(obj, default_mtu))


def declared(obj: dict[str, Any], default_mtu: int = 1400) -> state.DeclaredNetwork:
    """The network that a NAD declares; it must declare one."""
    found = meaning(obj, default_mtu)
    assert found is not None
    return found


def standing(obj: dict[str, Any], before: state.DeclaredNetwork) -> state.DeclaredNetwork:
    """The network of an edited NAD; it must still declare one."""
    found = nads.standing(read(obj), before)
    assert found is not None
    return found


CONFIG = {
    "cniVersion": "1.0.0",
    "name": "blue",
    "type": "ovn-k8s-cni-overlay",
    "topology": "layer2",
    "netAttachDefName": "default/blue",
    "subnets": "10.1.0.0/24",
}
NOTES = {names.NETWORK_NAME: "blue", names.NETWORK_ID: "3"}


def test_a_nad_with_an_id_is_a_network() -> None:
    seen = declared(nad_object(CONFIG, **NOTES), 1380)
    assert seen.network.name == "blue"
    assert seen.network.id == 3
    assert seen.network.spec.mtu == 1380
    assert seen.network.owner == ObjectKey("default", "blue")
    assert seen.age == ("2", "current", "2026-01-01T00:00:00Z")


def test_who_is_noted_as_the_owner_leads_whoever_is_older() -> None:
    owner = {**NOTES, names.NETWORK_OWNER: "default/blue"}
    guest = {**NOTES, names.NETWORK_OWNER: "ta/blue"}
    older = nad_object(CONFIG, **guest)
    older["metadata"]["creationTimestamp"] = "2025-01-01T00:00:00Z"
    leads, follows = (declared(each) for each in (nad_object(CONFIG, **owner), older))
    assert leads.age < follows.age


def test_what_was_accepted_last_counts_whatever_it_says_now() -> None:
    notes = {**NOTES, names.ACCEPTED_CONFIG: json.dumps(CONFIG)}
    accepted = declared(nad_object(CONFIG, **notes))
    for config in ("{", {**CONFIG, "mtu": 5}, {**CONFIG, "name": "red"}, {"type": "macvlan"}):
        seen = declared(nad_object(config, **notes))
        assert seen.network == accepted.network
        assert seen.age > accepted.age


def test_what_a_cni_call_goes_by_says_what_is_wrong() -> None:
    wrong = nad_object({**CONFIG, "mtu": 5})
    with pytest.raises(errors.InvalidInput, match=r"default/blue: spec.config.mtu 5"):
        read(wrong).network()
    wrong["metadata"]["annotations"] = {names.ACCEPTED_CONFIG: json.dumps(CONFIG)}
    accepted = read(wrong).network()
    assert accepted is not None
    assert accepted.mtu == 1400
    assert read(nad_object({**CONFIG, "type": "macvlan"})).network() is None


def test_one_that_is_being_deleted_counts_until_it_is_gone() -> None:
    obj = nad_object(CONFIG, **NOTES)
    there = meaning(obj)
    obj["metadata"] |= {"deletionTimestamp": "2026-01-02T00:00:00Z", "finalizers": ["a/b"]}
    assert there is not None
    assert meaning(obj) == there


def test_nothing_before_the_cluster_manager_has_spoken() -> None:
    for notes in (
        {},
        {names.NETWORK_NAME: "blue"},
        {**NOTES, names.NETWORK_NAME: "other"},
        {**NOTES, names.NETWORK_ID: "x"},
        {**NOTES, names.NETWORK_ID: "0"},
        {**NOTES, names.NETWORK_ID: str(tunnelkeys.MAX_NETWORKS)},
    ):
        assert meaning(nad_object(CONFIG, **notes)) is None


def test_nothing_of_what_is_wrong_or_anothers() -> None:
    for config in ("{", {**CONFIG, "type": "macvlan"}, {**CONFIG, "subnets": "10.1.0.0/99"}):
        assert meaning(nad_object(config, **NOTES)) is None


def test_what_loses_its_notes_means_what_it_meant_but_leads_no_more() -> None:
    noted = declared(nad_object(CONFIG, **NOTES))
    for config in (CONFIG, {**CONFIG, "mtu": 1300}, "{"):
        bare = standing(nad_object(config), noted)
        assert bare.network == noted.network
        assert bare.age > noted.age
        assert nads.standing(read(nad_object(config)), bare) == bare
    assert nads.standing(read(nad_object(CONFIG, **NOTES)), bare) == noted


def test_what_never_had_notes_or_has_others_is_read_as_it_is() -> None:
    noted = declared(nad_object(CONFIG, **NOTES))
    assert nads.standing(read(nad_object(CONFIG)), None) is None
    other = standing(nad_object(CONFIG, **{**NOTES, names.NETWORK_ID: "4"}), noted)
    assert other.network.id == 4
    wrong = nad_object(CONFIG, **{**NOTES, names.NETWORK_ID: "x"})
    assert nads.standing(read(wrong), noted) is None


def rendered(kind: str = "ClusterUserDefinedNetwork", **changes: Any) -> str:
    """What a zone takes a NAD for that says it is rendered from object blue; `network` is what it
    declares."""
    network = changes.pop("network", "cluster_udn_blue")
    reference = {"apiVersion": "k8s.ovn.org/v1", "kind": kind, "name": "blue", "controller": True}
    notes = {names.NETWORK_NAME: network, names.NETWORK_ID: "3"}
    obj = nad_object({**CONFIG, "name": network}, **notes)
    obj["metadata"]["ownerReferences"] = [{**reference, **changes}]
    return declared(obj).marks.controller


def test_a_nad_is_rendered_only_where_its_network_is_named_so() -> None:
    """The manager accepts the name of such a network from no other NAD; a reference is a claim."""
    assert rendered() == "ClusterUserDefinedNetwork"
    assert rendered("UserDefinedNetwork", network="default_blue") == "UserDefinedNetwork"
    assert not rendered(network="blue")
    assert not rendered(network="default_blue")
    assert not rendered("UserDefinedNetwork")
    assert not rendered("UserDefinedNetwork", network="other_blue")
    assert not rendered(apiVersion="k8s.ovn.org/v9")
    assert not rendered(name="red")
    assert not rendered(controller=False)
