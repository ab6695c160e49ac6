from __future__ import annotations

import json
from collections.abc import Iterable
from ipaddress import ip_network
from itertools import permutations
from typing import Any

import pytest

from weft import model, names
from weft.control.cluster import nads, settlements
from weft.model import ObjectKey
from weft.policy import access
from weft.reasons import Reason


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


def read(obj: dict[str, Any], underlay_mtu: int = 1500) -> nads.Nad:
    return nads.read(obj, nads.Rules(1400, underlay_mtu))


def settle(
    read: Iterable[nads.Nad], lead: ObjectKey | None = None, rule: access.AccessRule | None = None
) -> settlements.Settlement:
    return settlements.settle(settlements.as_declared(read), rule or access.AccessRule(), lead)


def test_the_oldest_leads_in_whatever_order_they_are_seen() -> None:
    three = [
        read(nad("a", "2026-01-02T00:00:00Z")),
        read(nad("b", "2026-01-01T00:00:00Z", mtu=1300)),
        read(nad("c", "2026-01-03T00:00:00Z", mtu=1300)),
    ]
    for order in permutations(three):
        settled = settle(order)
        assert settled.accepted == {ObjectKey("default", "b"), ObjectKey("default", "c")}
        assert list(settled.refused) == [ObjectKey("default", "a")]


def test_who_disagrees_is_reported_with_whom_and_in_what() -> None:
    settled = settle(
        [read(nad("a")), read(nad("b", "2026-01-02T00:00:00Z", mtu=1300, namespace="other"))]
    )
    assert settled.refused[ObjectKey("other", "b")] == (
        'NetworkAttachmentDefinition other/b declares network "blue" with mtu 1300, but '
        "NetworkAttachmentDefinition default/a, which was first, with 1400 "
        "(make mtu the same in both, or choose another network name)"
    )


def test_of_two_made_in_one_second_the_one_that_was_accepted_stays() -> None:
    notes = {names.NETWORK_NAME: "blue", names.NETWORK_ID: "3"}
    later_uid = read(nad("z", notes=notes))
    settled = settle([read(nad("a", mtu=1300)), later_uid])
    assert settled.accepted == {ObjectKey("default", "z")}
    settled = settle([read(nad("a", mtu=1300)), read(nad("z"))], ObjectKey("default", "z"))
    assert settled.accepted == {ObjectKey("default", "z")}


def test_who_led_leads_on_whoever_else_is_older_or_says_to_have_been_accepted() -> None:
    stolen = {names.NETWORK_NAME: "blue", names.NETWORK_ID: "1", names.NETWORK_OWNER: "other/a"}
    older = read(nad("a", "2025-01-01T00:00:00Z", namespace="other", notes=stolen))
    settled = settle([older, read(nad("z", namespace="ta"))], ObjectKey("ta", "z"))
    assert settled.lead == ObjectKey("ta", "z")
    assert list(settled.refused) == [ObjectKey("other", "a")]


def test_who_is_noted_as_the_owner_leads_after_a_restart_though_another_is_older() -> None:
    notes = {names.NETWORK_NAME: "blue", names.NETWORK_ID: "1", names.NETWORK_OWNER: "ta/z"}
    first = read(nad("z", namespace="ta", notes=notes, allowedNamespaces=["tb"]))
    guest = read(nad("a", "2025-01-01T00:00:00Z", namespace="tb", notes=notes))
    settled = settle([guest, first])
    assert settled.lead == ObjectKey("ta", "z")
    assert settled.accepted == {ObjectKey("ta", "z"), ObjectKey("tb", "a")}


@pytest.mark.parametrize("config", ["{", '{"type": "' + names.CNI_TYPE + '"}'])
def test_what_cannot_be_read_says_why(config: str) -> None:
    obj = nad("a")
    obj["spec"]["config"] = config
    found = read(obj)
    assert found.spec is None
    assert found.problem.startswith("spec.config")


def test_all_that_is_wrong_is_said_at_once_and_once() -> None:
    problem = read(nad("a", mtu="1300", subnets="1", netAttachDefName="b")).problem
    assert problem.count("spec.config.") == 3
    assert "NetworkAttachmentDefinition" not in problem


@pytest.mark.parametrize("topology", model.Topology)
def test_every_topology_is_served(topology: str) -> None:
    found = read(nad("a", topology=topology, subnets="10.0.0.0/16"))
    assert (found.problem, found.spec and found.spec.topology) == ("", topology)


def test_a_range_of_the_clusters_own_is_refused_but_for_who_has_it_already() -> None:
    rules = nads.Rules(reserved=(("the cluster's pods", ip_network("10.1.0.0/16")),))
    found = nads.read(nad("a"), rules)
    assert "10.1.0.0/24\": overlaps 10.1.0.0/16, the cluster's pods" in found.problem
    text = nad("a")["spec"]["config"]
    notes = {names.NETWORK_NAME: "blue", names.ACCEPTED_CONFIG: text}
    assert nads.read(nad("a", notes=notes), rules).accepted is not None


def test_what_was_accepted_is_known_after_an_edit_that_is_not() -> None:
    text = nad("a")["spec"]["config"]
    notes = {names.NETWORK_NAME: "blue", names.NETWORK_ID: "3", names.ACCEPTED_CONFIG: text}
    found = read(nad("a", notes=notes, mtu=5))
    assert found.spec is None
    assert found.accepted == read(nad("a")).spec
    assert nads.annotated_ids([found]) == {"blue": 3}
    assert read(nad("a", notes={**notes, names.NETWORK_NAME: "red"}, mtu=5)).accepted is None


def test_what_is_hardly_meant_is_warned_of() -> None:
    message = dict(read(nad("a", mut=1300)).warnings)[Reason.IGNORED_KEYS]
    assert message == "spec.config.mut is ignored; did you mean mtu?"
    near = dict(read(nad("a", type="ovn-k8s-cni-overlai")).warnings)[Reason.NOT_SERVED]
    assert "did you mean ovn-k8s-cni-overlay?" in near
    assert read(nad("a", type="macvlan")).warnings == ()


def test_another_plugins_nad_is_none_of_ours() -> None:
    obj = nad("a")
    obj["spec"]["config"] = '{"type": "macvlan"}'
    found = read(obj)
    assert found.spec is None
    assert not found.problem
    assert settle([found]) == settlements.Settlement()


def test_an_mtu_that_the_underlay_cannot_carry_is_warned_of_with_both_numbers() -> None:
    found = read(nad("a", mtu=1500))
    assert found.spec is not None
    message = dict(found.warnings)[Reason.MTU_TOO_LARGE]
    assert "1500" in message
    assert "1442" in message
    assert not read(nad("a", mtu=1500), underlay_mtu=9000).warnings
    assert not read(nad("a", mtu=1500), underlay_mtu=0).warnings


def test_ids_given_earlier_are_kept_and_none_is_given_twice() -> None:
    def annotated(name: str, network: str, number: str, created: str) -> nads.Nad:
        obj = nad(name, created, notes={names.NETWORK_NAME: network, names.NETWORK_ID: number})
        conf = json.loads(obj["spec"]["config"]) | {"name": network}
        return read(obj | {"spec": {"config": json.dumps(conf)}})

    ids = nads.annotated_ids(
        [
            annotated("a", "red", "5", "2026-01-02T00:00:00Z"),
            annotated("b", "blue", "5", "2026-01-01T00:00:00Z"),
            annotated("c", "blue", "9", "2026-01-03T00:00:00Z"),
            annotated("d", "green", "many", "2026-01-03T00:00:00Z"),
            annotated("e", "grey", "0", "2026-01-03T00:00:00Z"),
        ]
    )
    assert ids == {"blue": 5}


def test_notes_are_written_once_and_taken_from_who_is_refused() -> None:
    found = read(nad("a"))
    assert found.spec is not None
    network = model.Network(found.spec, 7, ObjectKey("default", "a"))
    text = found.config
    wanted = nads.desired_annotations(found, network, text)
    assert wanted == {
        names.NETWORK_NAME: "blue",
        names.NETWORK_ID: "7",
        names.NETWORK_OWNER: "default/a",
        names.ACCEPTED_CONFIG: text,
    }
    annotated = read(nad("a", notes=wanted))
    assert nads.desired_annotations(annotated, network, text) == {}
    assert nads.desired_annotations(annotated, None, text) == dict.fromkeys(wanted)
    assert nads.desired_annotations(found, None, text) == {}


@pytest.mark.parametrize(
    ("held", "is_deleting", "used", "wanted"),
    [
        (False, False, True, ("other", names.NETWORK_IN_USE)),
        (True, False, True, None),
        (True, False, False, ("other",)),
        (True, True, False, ("other",)),
        (False, True, True, None),  # an API server takes no new one of what is being deleted
    ],
)
def test_a_nad_in_use_is_held(
    held: bool, is_deleting: bool, used: bool, wanted: tuple[str, ...] | None
) -> None:
    obj = nad("a")
    obj["metadata"]["finalizers"] = ["other", *([names.NETWORK_IN_USE] if held else [])]
    if is_deleting:
        obj["metadata"]["deletionTimestamp"] = "2026-01-02T00:00:00Z"
    assert nads.desired_finalizers(read(obj), used=used) == wanted
