from __future__ import annotations

import json
from typing import Any

import pytest

from weft import errors, names
from weft.api import pod as reading
from weft.model import ObjectKey
from weft.policy.netpolicy import Protocol

WIRED = {"podIP": "10.244.0.9"}


def pod(networks: str | None = "blue", **changes: Any) -> dict[str, Any]:
    annotations = {"other": "x"} if networks is None else {names.NETWORKS: networks, "other": "x"}
    meta = {
        "name": "p",
        "namespace": "a",
        "uid": "u",
        "resourceVersion": "1",
        "labels": {"app": "web"},
        "annotations": annotations,
        **changes.pop("metadata", {}),
    }
    return {
        "metadata": meta,
        "spec": {"nodeName": "n1", "containers": [{"name": "c"}], **changes.pop("spec", {})},
        "status": {"phase": "Pending", **changes.pop("status", {})},
    }


def test_only_what_counts_is_kept() -> None:
    kept = reading.read(pod())
    (attachment,) = kept.attachments()
    assert (kept.key, kept.uid, kept.version, kept.node) == (ObjectKey("a", "p"), "u", "1", "n1")
    assert (attachment.nad, kept.labels, kept.proof) == (
        ObjectKey("a", "blue"),
        {"app": "web"},
        ("", ""),
    )
    plain = reading.read(pod(None))
    assert not plain.uses_networks
    assert (plain.attachments(), plain.labels, plain.named) == ((), {}, {})


def test_what_repeats_is_stored_once() -> None:
    one, other = reading.read(pod()), reading.read(pod(metadata={"name": "q", "uid": "v"}))
    assert one.request is other.request
    assert one.ref.namespace is other.ref.namespace


def test_names_of_ports_are_kept() -> None:
    ports = [{"name": "web", "containerPort": 80}]
    kept = reading.read(pod(spec={"containers": [{"name": "c", "ports": ports}]}))
    assert kept.named == {(Protocol.TCP, "web"): 80}
    assert reading.read(pod()).named == {}
    assert kept.has_same_request(reading.read(pod()))


def test_labels_are_kept_of_pods_on_networks_and_ask_for_nothing() -> None:
    kept = reading.read(pod())
    assert kept.labels == {"app": "web"}
    assert reading.read(pod(None), primary=True).labels == {}
    assert kept.has_same_request(reading.read(pod(metadata={"labels": {"app": "db"}})))


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata": {"labels": {"app": "db"}}},
        {"metadata": {"annotations": {names.POD_NETWORKS: '{"a/x": {}}'}}},
        {"spec": {"nodeName": "n2"}},
        {"spec": {"containers": [{"ports": [{"name": "web", "containerPort": 80}]}]}},
        {"status": {"phase": "Failed"}},
    ],
)
def test_what_policies_see_of_a_pod(changes: dict[str, Any]) -> None:
    before = reading.read(pod())
    assert not before.is_same_to_policies(reading.read(pod(**changes)))
    later = pod(status={"phase": "Running"}, metadata={"resourceVersion": "2"})
    assert before.is_same_to_policies(reading.read(later))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("{", []),
        ("[]", []),
        (
            '{"default": {}, "a/x": {}, "a/x/1": {}}',
            [ObjectKey("a", "x"), ObjectKey("a", "x")],
        ),
    ],
)
def test_what_a_pod_was_given_is_known_by_nad(text: str, expected: list[ObjectKey]) -> None:
    given = pod(metadata={"annotations": {names.POD_NETWORKS: text}})
    assert list(reading.read(given, primary=True).allocated) == expected


@pytest.mark.parametrize(
    ("seen", "due"),
    [
        (pod(), True),
        (pod(None), False),
        (pod(spec={"nodeName": ""}), False),
        (pod(spec={"hostNetwork": True}), False),
        (pod(status={"phase": "Succeeded"}), False),
        (pod(status={"phase": "Failed"}), False),
        (pod(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}), False),
    ],
)
def test_who_is_due(seen: dict[str, Any], due: bool) -> None:
    assert reading.read(seen).needs_allocations() is due


def test_pods_are_found_by_the_nads_that_they_name() -> None:
    assert reading.read(pod("blue, b/red, blue")).nads() == {
        ObjectKey("a", "blue"),
        ObjectKey("b", "red"),
    }
    assert reading.read(pod("not valid!")).nads() == set()
    assert reading.read(pod(None)).nads() == set()


def test_what_cannot_be_read_names_this_very_pod() -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        reading.read(pod("[{]")).attachments()
    assert "Pod a/p" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("", {}),
        ("[{", {}),
        ("[1]", {}),
        ('[{"name": "lab-primary"}]', {}),
        (
            '[{"name": "lab-primary", "interface": "eth0"}, {"name": "a/blue", "interface": "x"}]',
            {"lab-primary": "eth0", "a/blue": "x"},
        ),
        (
            '[{"name": "a/blue", "interface": "net1"}, {"name": "a/blue", "interface": "net2"}]',
            {"a/blue": "net1", "a/blue/1": "net2"},
        ),
    ],
)
def test_the_names_of_interfaces_are_known_as_far_as_reported(
    text: str, made: dict[str, str]
) -> None:
    annotations = {names.NETWORKS: "blue,blue", names.NETWORK_STATUS: text}
    kept = reading.read(pod(metadata={"annotations": annotations}, status=WIRED))
    assert kept.has_interfaces
    assert dict(kept.interfaces) == made
    copied = reading.read(pod(metadata={"annotations": annotations}))
    assert not copied.has_interfaces, "no kubelet says so"
    assert copied.interfaces == ()
    assert reading.read(pod()).interfaces == ()


def owner(**changes: Any) -> dict[str, Any]:
    reference = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "name": "db"}
    return {**reference, "uid": "u", "controller": True, **changes}


@pytest.mark.parametrize(
    ("owners", "expected"),
    [
        ([owner()], "Machine/a/db"),
        ([owner(apiVersion="kubevirt.io/v1alpha3")], "Machine/a/db"),
        ([], "Pod/a/p"),
        ([owner(apiVersion="example.org/v1")], "Pod/a/p"),
        ([owner(kind="VirtualMachine")], "Pod/a/p"),
        ([owner(controller=False)], "Pod/a/p"),
        ([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "p", "uid": "u"}], "Pod/a/p"),
        ([owner(name='x" || ip || outport == "x')], "Pod/a/p"),
        ([owner(name="a" * 254)], "Pod/a/p"),
        ([owner(uid="a" * 254)], "Pod/a/p"),
    ],
)
def test_whose_the_nics_of_a_pod_are(owners: list[Any], expected: str) -> None:
    assert reading.read(pod(metadata={"ownerReferences": owners})).identity == expected


@pytest.mark.parametrize(
    "told",
    [
        [{"name": f"a/b{number}", "interface": f"net{number}"} for number in range(9000)],
        [{"name": "a/b", "interface": "x" * 100_000}],
    ],
)
def test_a_status_that_no_plugin_wrote_is_not_kept(told: list[dict[str, str]]) -> None:
    """What a tenant writes there stays in the manager's memory beyond its pod."""
    notes = {names.NETWORKS: "b0", names.NETWORK_STATUS: json.dumps(told)}
    kept = reading.read(pod(metadata={"annotations": notes}, status=WIRED))
    assert dict(kept.interfaces) == {}
    assert kept.has_interfaces


def test_a_selection_of_many_characters_is_read_and_not_stored() -> None:
    reading.read(pod("blue")).attachments()
    before = reading._parsed.cache_info().currsize
    (found,) = reading.read(pod("blue" + " " * 100_000)).attachments()
    assert found.nad == ObjectKey("a", "blue")
    assert reading._parsed.cache_info().currsize == before
