from __future__ import annotations

import json
from typing import Any

import pytest

from weft import errors, names
from weft.control.cluster import wishes
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
    kept = wishes.keep(pod())
    assert kept == {
        "metadata": {
            "name": "p",
            "namespace": "a",
            "uid": "u",
            "resourceVersion": "1",
            "annotations": {names.NETWORKS: "blue"},
        },
        "labels": {"app": "web"},
        "nodeName": "n1",
    }
    assert "annotations" not in wishes.keep(pod(None))["metadata"]


def test_names_of_ports_are_kept() -> None:
    ports = [{"name": "web", "containerPort": 80}]
    kept = wishes.keep(pod(spec={"containers": [{"name": "c", "ports": ports}]}))
    assert wishes.named_ports(kept) == ((Protocol.TCP, "web"),)
    assert wishes.named_ports(wishes.keep(pod())) == ()
    assert wishes.are_alike(kept, wishes.keep(pod()))


def test_labels_are_kept_of_pods_on_networks_and_ask_for_nothing() -> None:
    kept = wishes.keep(pod())
    assert wishes.labels(kept) == {"app": "web"}
    assert wishes.labels(wishes.keep(pod(None), primary=True)) == {}
    assert wishes.are_alike(kept, wishes.keep(pod(metadata={"labels": {"app": "db"}})))


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
    before = wishes.keep(pod())
    assert not wishes.are_policed_alike(before, wishes.keep(pod(**changes)))
    later = pod(status={"phase": "Running"}, metadata={"resourceVersion": "2"})
    assert wishes.are_policed_alike(before, wishes.keep(later))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("{", []),
        ("[]", []),
        ('{"default": {}, "a/x": {}, "a/x/1": {}}', ["a/x", "a/x"]),
    ],
)
def test_what_a_pod_was_given_is_known_by_definition(text: str, expected: list[str]) -> None:
    given = pod(metadata={"annotations": {names.POD_NETWORKS: text}})
    assert wishes.definitions(wishes.keep(given, primary=True)) == expected


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
    assert wishes.is_due(wishes.keep(seen)) is due


def test_pods_are_found_by_the_definitions_that_they_name() -> None:
    assert set(wishes.nads(wishes.keep(pod("blue, b/red, blue")))) == {"a/blue", "b/red"}
    assert set(wishes.nads(wishes.keep(pod("not valid!")))) == set()
    assert set(wishes.nads(wishes.keep(pod(None)))) == set()


def test_what_cannot_be_read_names_this_very_pod() -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        wishes.attachments(wishes.keep(pod("[{]")))
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
def test_the_names_of_interfaces_are_known_as_far_as_told(text: str, made: dict[str, str]) -> None:
    annotations = {names.NETWORKS: "blue,blue", names.NETWORK_STATUS: text}
    kept = wishes.keep(pod(metadata={"annotations": annotations}, status=WIRED))
    assert wishes.is_wired(kept)
    assert wishes.interfaces(kept) == made
    copied = wishes.keep(pod(metadata={"annotations": annotations}))
    assert not wishes.is_wired(copied), "no kubelet says so"
    assert wishes.interfaces(copied) == {}
    assert wishes.interfaces(wishes.keep(pod())) == {}


def owner(**changes: Any) -> dict[str, Any]:
    said = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "name": "db"}
    return {**said, "uid": "u", "controller": True, **changes}


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
    ],
)
def test_whose_the_nics_of_a_pod_are(owners: list[Any], expected: str) -> None:
    assert wishes.identity(wishes.keep(pod(metadata={"ownerReferences": owners}))) == expected


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
    kept = wishes.keep(pod(metadata={"annotations": notes}, status=WIRED))
    assert wishes.interfaces(kept) == {}
    assert wishes.is_wired(kept)


def test_a_selection_of_many_characters_is_read_and_not_stored() -> None:
    wishes.attachments(wishes.keep(pod("blue")))
    before = wishes._parsed.cache_info().currsize
    (found,) = wishes.attachments(wishes.keep(pod("blue" + " " * 100_000)))
    assert found.nad == "a/blue"
    assert wishes._parsed.cache_info().currsize == before
