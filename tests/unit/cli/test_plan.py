"""What an edit would do, from files alone: `weft plan`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.support import objects as made
from tests.unit.observe.test_members import entry
from tests.unit.observe.test_members import pod as allocated
from weft import errors
from weft.cli.main import application
from weft.kube import resources
from weft.plan import reading

Run = Callable[..., tuple[int, dict[str, Any]]]
DMZ: dict[str, Any] = {"topology": "localnet", "physicalNetworkName": "physnet", "vlanID": 20}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Plans `edits` against a world; gives exit status and document."""

    def plan(world: list[Any], *edits: Any, argv: tuple[str, ...] = ()) -> tuple[int, Any]:
        folder = tmp_path / "there"
        folder.mkdir(exist_ok=True)
        (folder / "all.json").write_text(json.dumps({"kind": "List", "items": world}))
        edit = tmp_path / "edit.json"
        edit.write_text(json.dumps({"kind": "List", "items": list(edits)}))
        command = ["plan", "-f", str(edit), "--against", str(folder), "-o", "json", *argv]
        done = CliRunner().invoke(application(command), command)
        if not done.stdout.startswith("{"):
            return done.exit_code, {"error": done.exception}
        return done.exit_code, json.loads(done.stdout)

    return plan


def pod(name: str, number: int) -> dict[str, Any]:
    held = {"default/blue": entry(number, f"10.9.0.{number}/24")}
    return {"kind": "Pod", **allocated(name, "blue", held, labels={"app": name})}


def world(*more: Any, nad: Any = None) -> list[Any]:
    blue = nad or made.nad("blue", "10.9.0.0/24", mtu=1300)
    return [blue, pod("a", 1), pod("b", 2), *more]


def rule(app: str, port: int = 0) -> dict[str, Any]:
    ports = {"ports": [{"protocol": "TCP", "port": port}]} if port else {}
    return {"from": [{"podSelector": {"matchLabels": {"app": app}}}], **ports}


def pairs(listed: list[Any]) -> set[tuple[str, str, str, int]]:
    return {(one["source"], one["target"], one["protocol"], one["port"]) for one in listed}


def test_a_policy_that_is_edited_names_fields_and_pairs(run: Run) -> None:
    before = made.policy(app="b", ingress=[rule("a", 80)])
    after = made.policy(app="b", ingress=[rule("a", 443)])
    status, found = run(world(before), after)
    assert status == 1
    (effect,) = found["effects"]
    assert effect["fields"] == ["spec.ingress[0].ports[0].port 80 -> 443"]
    assert pairs(found["lost"]) == {("default/a", "default/b", "TCP", 80)}
    assert pairs(found["gained"]) == {("default/a", "default/b", "TCP", 443)}
    assert found["lost"][0]["reason"] == "no rule of default/guard allows it at the target"


def test_an_edit_that_only_allows_more_loses_nothing(run: Run) -> None:
    before = made.policy(app="b", ingress=[rule("a", 80)])
    status, found = run(world(before), made.policy(app="b", ingress=[rule("a")]))
    assert status == 0
    assert pairs(found["gained"]) == {
        ("default/a", "default/b", "ICMP", 0),
        ("default/a", "default/b", "TCP", 0),
    }


def test_a_new_policy_and_its_deletion(run: Run) -> None:
    deny = made.policy(app="b", ingress=[])
    status, found = run(world(), deny)
    assert (status, len(found["lost"]), found["gained"]) == (1, 2, [])
    status, found = run(world(deny), deny, argv=("--delete",))
    assert (status, found["lost"], len(found["gained"])) == (0, [], 2)


LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def applied(obj: dict[str, Any]) -> dict[str, Any]:
    """An object as kubectl applied it, with annotations of the cluster manager's beside it."""
    kept = {LAST_APPLIED: json.dumps(obj), "weft/accepted-policy": "{}"}
    meta = {**obj["metadata"], "annotations": {**obj["metadata"]["annotations"], **kept}}
    return {**obj, "metadata": meta}


@pytest.mark.parametrize("standing", [applied, dict], ids=["applied", "from files"])
def test_a_policy_that_leaves_audit_mode_is_in_force(run: Run, standing: Any) -> None:
    audit = made.policy(app="b", mode="audit", ingress=[])
    status, found = run(world(standing(audit)), made.policy(app="b", ingress=[]))
    assert status == 1
    assert found["effects"][0]["fields"] == ["weft/policy-mode audit -> none"]
    assert ("default/a", "default/b", "ICMP", 0) in pairs(found["lost"])


def test_what_kubectl_never_applied_stays(run: Run) -> None:
    there = applied(made.policy(app="b", ingress=[]))
    there["metadata"]["annotations"]["weft/policy-mode"] = "audit"
    there["spec"]["podSelector"]["matchLabels"]["patched"] = "yes"
    status, found = run(world(there), made.policy(app="b", ingress=[]))
    assert (status, found["effects"][0]["action"]) == (0, "unchanged")


def test_a_label_that_a_file_no_longer_has_goes_from_the_selector(run: Run) -> None:
    there = made.policy(app="b", ingress=[])
    there["spec"]["podSelector"]["matchLabels"]["more"] = "yes"
    status, found = run(world(applied(there)), made.policy(app="b", ingress=[]))
    assert status == 1
    assert found["effects"][0]["fields"] == ['spec.podSelector.matchLabels.more "yes" -> none']


def test_what_changes_nothing_says_so(run: Run) -> None:
    same = made.policy(app="b", ingress=[rule("a", 80)])
    status, found = run(world(same), same)
    assert status == 0
    assert [one["action"] for one in found["effects"]] == ["unchanged"]


def test_a_nad_that_a_policy_names_cuts_pairs(run: Run) -> None:
    deny = made.policy(networks="second", app="b", ingress=[])
    second = made.nad("second", "10.9.0.0/24", mtu=1300, name="blue")
    status, found = run(world(deny), second)
    assert (status, found["effects"][0]["action"]) == (1, "created")
    assert ("default/a", "default/b", "ICMP", 0) in pairs(found["lost"])


def test_a_loss_inside_a_range_is_named(run: Run) -> None:
    def ranges(*listed: tuple[int, int]) -> Any:
        ports = [{"port": first, "endPort": last} for first, last in listed]
        return made.policy(app="b", ingress=[{"ports": ports}])

    status, found = run(world(ranges((8000, 8100))), ranges((8000, 8050), (8052, 8100)))
    assert status == 1
    assert ("default/a", "default/b", "TCP", 8051) in pairs(found["lost"])


def test_an_edit_that_pods_cannot_follow_waits_and_names_them(run: Run) -> None:
    status, found = run(world(), made.nad("blue", "10.9.0.0/24", mtu=1400))
    assert status == 0
    (effect,) = found["effects"]
    assert effect["fields"] == ["mtu 1300 -> 1400"]
    assert effect["keeps"] == ["pod default/a", "pod default/b"]
    assert "an edit waits until no pod uses network blue" in effect["waits"]


def test_dhcp_options_count_at_once_and_name_who_has_the_old(run: Run) -> None:
    edit = made.nad("blue", "10.9.0.0/24", mtu=1300, dhcp={"dns": ["10.9.0.53"]})
    _, found = run(world(), edit)
    (effect,) = found["effects"]
    assert effect["waits"] == ""
    assert effect["keeps"] == ["pod default/a", "pod default/b"]
    assert effect["fields"] == ['dhcp.dns none -> "10.9.0.53"']


def test_a_nad_in_use_waits_to_be_deleted(run: Run) -> None:
    status, found = run(world(), made.nad("blue", "10.9.0.0/24", mtu=1300), argv=("--delete",))
    (effect,) = found["effects"]
    assert (status, effect["keeps"]) == (0, ["pod default/a", "pod default/b"])
    assert "stays until the pods that use it are gone" in effect["waits"]


def test_a_nad_is_not_in_use_by_one_whose_name_begins_alike(run: Run) -> None:
    second = made.nad("blu", "10.9.0.0/24", mtu=1300, name="blue")
    _, found = run(world(second), second, argv=("--delete",))
    assert [(one["action"], one["waits"]) for one in found["effects"]] == [("deleted", "")]


def test_a_nad_in_use_that_becomes_another_plugins_waits(run: Run) -> None:
    taken = made.raw_nad(
        "blue", json.dumps({"cniVersion": "1.1.0", "name": "b", "type": "macvlan"})
    )
    _, found = run(world(), taken)
    (effect,) = found["effects"]
    assert effect["action"] == "deleted"
    assert effect["fields"] == ["it becomes another plugin's"]
    assert "stays until the pods that use it are gone: pod default/a" in effect["waits"]
    assert found["addresses"] == []
    _, found = run([made.nad("blue", "10.9.0.0/24")], taken)
    assert (found["effects"][0]["waits"], found["addresses"][0]["after"]) == ("", None)


def test_a_cluster_network_in_use_waits_to_be_deleted(run: Run) -> None:
    held = {"shop/wide": entry(1, "10.50.0.1/24")}
    user = {"kind": "Pod", **allocated("a", "wide", held, namespace="shop")}
    spaces = [made.namespace("shop"), made.namespace("team")]
    wide = cudn("wide")
    _, found = run([*spaces, wide, user], wide, argv=("--delete",))
    first, *others = found["effects"]
    assert first["subject"] == "ClusterUserDefinedNetwork wide"
    assert first["keeps"] == ["pod shop/a"]
    assert "NetworkAttachmentDefinition shop/wide: is being deleted, and stays" in first["waits"]
    assert [one["subject"] for one in others] == ["NetworkAttachmentDefinition team/wide"]
    _, found = run([*spaces, wide], wide, argv=("--delete",))
    assert not any(one["waits"] for one in found["effects"])
    assert found["addresses"][0]["after"] is None


def test_two_nads_of_one_network_that_disagree_conflict(run: Run) -> None:
    other = made.nad("other", "10.9.0.0/24", mtu=1200, name="blue")
    status, found = run(world(), other)
    assert status == 1
    (effect,) = found["effects"]
    assert effect["action"] == "refused"
    assert "mtu" in effect["problems"][0]


def test_an_invalid_nad_is_refused_with_the_words_of_admission(run: Run) -> None:
    status, found = run(world(), made.nad("red", topology="layer4"))
    assert status == 1
    assert 'spec.config.topology "layer4"' in found["effects"][0]["problems"][0]


def test_members_that_may_not_come_back_are_named(run: Run) -> None:
    blue = made.nad("blue", "10.9.0.0/24", mtu=1300, allowedNamespaces=["shop"])
    held = {"default/blue": entry(3, "10.9.0.3/24")}
    guest = allocated("c", "default/blue", held, namespace="shop")
    closed = made.nad("blue", "10.9.0.0/24", mtu=1300, allowedNamespaces=["team"])
    status, found = run(world({"kind": "Pod", **guest}, nad=blue), closed)
    assert status == 1
    (problem,) = found["effects"][0]["problems"]
    assert 'Pod shop/c: may not use network "blue"' in problem


def test_addresses_that_run_out(run: Run) -> None:
    edit = made.nad(
        "blue",
        "10.9.0.0/24",
        mtu=1300,
        excludeSubnets="10.9.0.4/30,10.9.0.8/29,"
        "10.9.0.16/28,10.9.0.32/27,10.9.0.64/26,10.9.0.128/25,10.9.0.3/32",
    )
    status, found = run(world(), edit)
    (count,) = found["addresses"]
    assert (count["network"], count["before"], count["after"]) == ("blue", 252, 0)
    assert (status, count["runs_out"]) == (1, True)


def test_nodes_that_lack_a_bridge_mapping(run: Run) -> None:
    mapping = {"weft/bridge-mappings": '{"physnet": "br-phy"}'}
    nodes = [made.node("node1", mapping), made.node("node2")]
    dmz = made.nad("dmz", "10.7.0.0/24", **DMZ)
    status, found = run(world(*nodes), dmz)
    assert (status, found["unmapped"]) == (0, [])
    assert found["closed"] == [
        "network dmz: no pod of it can run on node2, without a bridge mapping for physical network "
        "physnet"
    ]
    held = {"default/dmz": entry(7, "10.7.0.2/24")}
    there = {"kind": "Pod", **allocated("d", "dmz", held)}
    there["spec"]["nodeName"] = "node2"
    older = made.nad("dmz", "10.7.0.0/24", **{**DMZ, "dhcp": {"dns": ["10.7.0.53"]}})
    status, found = run(world(*nodes, older, there), dmz)
    assert status == 1
    assert found["unmapped"] == [
        "network dmz: no bridge mapping on node2 for physical network physnet "
        "(ovn-bridge-mappings in Open vSwitch)"
    ]
    assert found["closed"] == []
    status, found = run(world(made.node("node2")), dmz)
    assert found["closed"] == []
    assert found["unmapped"][0].startswith("network dmz: no bridge mapping on any node")


def test_mappings_are_not_judged_without_nodes(run: Run) -> None:
    status, found = run(world(), made.nad("dmz", "10.7.0.0/24", **DMZ))
    assert (status, found["loses"]) == (2, False)
    assert found["unjudged"] == [
        "network dmz: which nodes have a bridge mapping for physical network physnet: "
        "no Node can be read"
    ]


def test_blocks_are_not_judged_without_addresses(run: Run) -> None:
    blue = made.nad("blue", "10.9.0.0/24")
    pods = [{**made.pod(name, "blue", labels={"app": name}), "status": {}} for name in "ab"]
    block = {"from": [{"ipBlock": {"cidr": "10.9.0.0/24"}}]}
    before = made.policy(app="b", ingress=[block])
    status, found = run([blue, *pods, before], made.policy(app="b", ingress=[]))
    assert (status, found["loses"]) == (2, False)
    assert found["unjudged"] == [
        "network blue: whether an ipBlock admits a pair, whose addresses are not known: "
        "default/a > default/b"
    ]


def test_a_namespace_in_the_file_is_there_and_its_new_labels_are_named(run: Run) -> None:
    red = made.nad("red", "10.8.0.0/24", namespace="fresh")
    status, found = run(world(), made.namespace("fresh", team="a"), red, cudn("wide"))
    assert status == 0
    assert found["effects"][-1]["notices"] == ["its NAD is made in default, fresh"]
    there = made.namespace("shop", team="a")
    same = made.policy(app="b", ingress=[])
    edit = made.namespace("shop", team="b")
    assert run(world(there, same), there, same)[0] == 0
    status, found = run(world(there, same), edit, same)
    assert status == 2
    assert found["unjudged"] == [
        "Namespace shop: policies and networks that select by these labels are judged by the old "
        'ones: labels.team "a" -> "b"'
    ]
    status, found = run(world(there, same), edit, same, argv=("--delete",))
    assert (status, found["unjudged"]) == (
        2,
        ["Namespace shop: all that is in it would be deleted with it"],
    )


def cudn(name: str, **selector: Any) -> dict[str, Any]:
    layer2 = {"role": "Secondary", "subnets": ["10.50.0.0/24"]}
    spec = {"namespaceSelector": selector, "network": {"topology": "Layer2", "layer2": layer2}}
    return {**made.named(resources.CUDNS, name), "spec": spec}


def test_a_network_of_many_namespaces_and_a_nad_in_its_way(run: Run) -> None:
    spaces = [made.namespace("shop"), made.namespace("team")]
    status, found = run(world(*spaces), cudn("wide"))
    assert status == 0
    assert found["effects"][0]["notices"] == ["its NAD is made in shop, team, default"]
    assert found["addresses"][0]["after"] == 254
    way = made.nad("wide", "10.8.0.0/24", namespace="shop")
    status, found = run(world(*spaces, way), cudn("wide"))
    assert status == 1
    assert found["effects"][0]["problems"] == [
        "NetworkAttachmentDefinition shop/wide is there already, and is not rendered from it"
    ]


def test_a_namespace_that_is_no_longer_chosen_loses_its_nad(run: Run) -> None:
    spaces = [made.namespace("shop", team="a"), made.namespace("team")]
    status, found = run(world(*spaces, cudn("wide")), cudn("wide", matchLabels={"team": "a"}))
    deleted = [one["subject"] for one in found["effects"] if one["action"] == "deleted"]
    assert deleted == [
        "NetworkAttachmentDefinition team/wide",
        "NetworkAttachmentDefinition default/wide",
    ]
    assert status == 0


def test_machines_in_files_count_as_running(run: Run) -> None:
    vm = made.machine("db", {"data": "blue"})
    vm["spec"]["template"]["metadata"] = {"labels": {"app": "db"}}
    deny = made.policy(app="db", ingress=[])
    status, found = run([made.nad("blue", "10.9.0.0/24"), pod("a", 1), vm], deny)
    assert status == 1
    assert {(one["source"], one["target"]) for one in found["lost"]} == {
        ("default/a", "default/db")
    }


def test_a_file_without_networks_cannot_be_planned(run: Run) -> None:
    _, found = run(world(), made.pod("x"))
    assert found["error"].exit_status == 2
    assert "has no object of these kinds" in str(found["error"])


def test_an_object_without_a_name_that_is_text_is_refused() -> None:
    whole = made.policy("guard", namespace="shop")
    no_name = {**whole, "metadata": {"namespace": "shop"}}
    wrong: list[Any] = [{**whole, "metadata": {"name": "guard", "namespace": ["shop"]}}]
    wrong += [{**whole, "metadata": {"name": ["guard"]}}, {**whole, "kind": ["Pod"]}, no_name, []]
    for each in wrong:
        with pytest.raises(errors.WeftError, match="an object"):
            reading.named("edit.yaml", each, "shop")
    unnamed = {**whole, "kind": "MultiNetworkPolicy", "metadata": {"name": "g", "namespace": None}}
    assert reading.named("edit.yaml", unnamed, "shop")["metadata"]["namespace"] == "shop"
