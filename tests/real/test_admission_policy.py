"""The admission policies of deploy/, judged by a real kube-apiserver where one is at hand.

`WEFT_KUBE_APISERVER` and `WEFT_ETCD` name the two programs. Who asks is impersonated by an admin,
so that a token's node is as the API server would put it there. All users have all rights by RBAC:
what is refused is refused by the policies alone. The lab asks the same of its own API server.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.support import kubernetes, objects
from tests.support.kubernetes import (
    CRDS,
    EXTENSIONS,
    MERGE,
    NADS,
    Api,
    Object,
    documents,
    read_crd,
    until,
)
from weft import names
from weft.api import conditions
from weft.app import webhook
from weft.kube.resources import VMIS

pytestmark = pytest.mark.real

MANAGER = "system:serviceaccount:weft-system:weft-cluster-manager"
AGENT = "system:serviceaccount:weft-system:weft-node"
PODS = "/api/v1/namespaces/default/pods"
ENDPOINTS = "/apis/weft.internal/v1alpha1/namespaces/default/podendpoints"
INSTANCES = "/apis/kubevirt.io/v1/namespaces/default/virtualmachineinstances"
OF_KUBEVIRT = {"apiVersion": VMIS.api_version, "kind": VMIS.kind}
POLICIES = "/apis/k8s.cni.cncf.io/v1beta1/namespaces/default/multi-networkpolicies"


def variables(policy: str) -> dict[str, str]:
    (found,) = [
        each
        for each in documents("admission-policy.yaml")
        if each["kind"] == "ValidatingAdmissionPolicy" and each["metadata"]["name"] == policy
    ]
    return {each["name"]: each["expression"] for each in found["spec"]["variables"]}


def listed(expression: str) -> set[str]:
    return set(yaml.safe_load(expression))


def test_the_policies_name_what_weft_writes() -> None:
    assert listed(variables("weft-pods")["keys"]) == {
        names.POD_NETWORKS,
        names.POD_NETWORKS_SIGNATURE,
        names.CONNECTIONS,
    }
    nodes = variables("weft-nodes")
    assert listed(nodes["decided"]) == {names.NODE_ID, names.NODE_SUBNETS, names.NODE_TRANSIT}
    assert listed(nodes["announced"]) == {
        names.NODE_CHASSIS_ID,
        names.NODE_ENCAP_IPS,
        names.NODE_GATEWAY,
        names.NODE_BRIDGE_MAPPINGS,
        names.VERSION,
    }
    assert listed(variables("weft-definitions")["keys"]) == {
        names.NETWORK_NAME,
        names.NETWORK_ID,
        names.NETWORK_OWNER,
        names.ACCEPTED_CONFIG,
    }


def test_the_roles_name_the_keys_objects() -> None:
    named = {
        name
        for each in documents("rbac.yaml")
        for rule in each.get("rules", ())
        for name in rule.get("resourceNames", ())
    }
    assert named == {names.SIGNING_KEY, names.SIGNING_KEYS, webhook.NAME}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    if not (kubernetes.SERVER and kubernetes.ETCD):
        pytest.skip("WEFT_KUBE_APISERVER and WEFT_ETCD name no programs")
    with kubernetes.running(tmp_path_factory.mktemp("kube")) as running:
        yield prepared(running.api)


def prepared(api: Api) -> Api:
    everything = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    group = "rbac.authorization.k8s.io"
    role = {"kind": "ClusterRole", "metadata": {"name": "all"}, "rules": [everything]}
    binding = {
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "all"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "all"},
        "subjects": [{"apiGroup": group, "kind": "Group", "name": "everybody"}],
    }
    kubernetes.apply(api, [role, binding])
    namespace = {"kind": "Namespace", "metadata": {"name": "weft-system"}}
    roles = [each for each in documents("rbac.yaml") if each["kind"] == "ClusterRole"]
    kubernetes.apply(api, [namespace, *roles])
    for name in ("node1", "node2"):
        assert api.make("/api/v1/nodes", {"metadata": {"name": name}}) == 201
    kubernetes.apply(api, documents("admission-policy.yaml"))
    # In force a moment later, each: a refusal shows it, and dry runs leave nothing behind.
    forged = {names.NODE_ID: "7"}
    for path, obj in (
        (PODS, pod("probe", **{names.POD_NETWORKS: "{}"})),
        ("/api/v1/nodes", {"metadata": {"name": "probe", "annotations": forged}}),
        (NADS, nad("probe", **{names.NETWORK_ID: "7"})),
        (POLICIES, policy("probe", **{names.ACCEPTED_POLICY: "{}"})),
        (ENDPOINTS, endpoint("probe", "u")),
    ):
        until(Refused(api), f"{path}?dryRun=All", "POST", obj, user="tenant")
    return api


def test_stock_kubernetes_takes_the_crds_as_they_are(api: Api) -> None:
    """All are established, so their schemas are structural."""
    for path in CRDS.glob("*.yaml"):
        name = read_crd(path)["metadata"]["name"]
        _, found = api("GET", f"{EXTENSIONS}/customresourcedefinitions/{name}")
        conditions = {each["type"]: each["status"] for each in found["status"]["conditions"]}
        assert conditions["Established"] == "True"
        assert "NonStructuralSchema" not in conditions


class Refused(Api):
    """Success is a refusal."""

    def __init__(self, api: Api) -> None:
        super().__init__(api.url)

    def __call__(self, *args: Any, **options: Any) -> tuple[int, Object]:
        code, response = super().__call__(*args, **options)
        return (200 if code == 403 else 500), response


def pod(name: str, node: str = "", **annotations: str) -> Object:
    containers = [{"name": "c", "image": "i"}]
    spec = {"containers": containers, **({"nodeName": node} if node else {})}
    return {"metadata": {"name": name, "annotations": annotations}, "spec": spec}


def nad(name: str, **annotations: str) -> Object:
    return {
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"config": "{}"},
    }


def policy(name: str, **annotations: str) -> Object:
    return {
        "apiVersion": "k8s.cni.cncf.io/v1beta1",
        "kind": "MultiNetworkPolicy",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"podSelector": {}},
    }


def endpoint(name: str, owner: str) -> Object:
    node = {"apiVersion": "v1", "kind": "Node", "name": "node1", "uid": owner}
    allocations = {"text": "{}", "signature": "s"}
    return {
        "apiVersion": "weft.internal/v1alpha1",
        "kind": "PodEndpoint",
        "metadata": {"name": name, "ownerReferences": [node]},
        "spec": {"podUID": "u", "node": "node1", "allocations": allocations},
    }


BOTH = (names.POD_NETWORKS, names.POD_NETWORKS_SIGNATURE)


@pytest.mark.parametrize("key", BOTH)
@pytest.mark.parametrize("user", ["tenant", "admin", AGENT])
def test_nobody_makes_a_pod_with_wefts_annotations(api: Api, key: str, user: str) -> None:
    code, response = api(
        "POST", PODS, pod("thief", "node1", **{key: "{}"}), user=user, node="node1"
    )
    assert code == 403
    assert "weft" in response["message"]


def test_nobody_edits_them_by_any_way(api: Api) -> None:
    assert api.make(PODS, pod("web", "node1", own="1"), user="tenant") == 201
    assert api.annotate(f"{PODS}/web", {"own": "2"}, user="tenant") == 200
    assert api.annotate(f"{PODS}/web", dict.fromkeys(BOTH, "{}"), user=MANAGER) == 200
    there = api.annotations(f"{PODS}/web")
    for edit in ({BOTH[0]: "{ }"}, {BOTH[1]: None}, dict.fromkeys(BOTH)):
        for way in ("", "/status", "/ephemeralcontainers", "/resize"):
            code = api.annotate(f"{PODS}/web{way}", edit, user="tenant")
            assert api.annotations(f"{PODS}/web") == there, way
            assert code == 403 or way in ("/ephemeralcontainers", "/resize")
    assert api.annotate(f"{PODS}/web", {"own": "3"}, user="tenant") == 200, "the rest is his"


def test_a_binding_carries_none_to_its_pod(api: Api) -> None:
    assert api.make(PODS, pod("unbound"), user="tenant") == 201
    for path in (f"{PODS}/unbound/binding", "/api/v1/namespaces/default/bindings"):
        for key in BOTH:
            body: dict[str, Any] = {
                "apiVersion": "v1",
                "kind": "Binding",
                "metadata": {"name": "unbound", "annotations": {key: "{}"}},
                "target": {"kind": "Node", "name": "node1"},
            }
            assert api.make(path, body, user="tenant") == 403
    assert not set(BOTH) & set(api.annotations(f"{PODS}/unbound"))
    body["metadata"]["annotations"] = {"own": "1"}
    assert api.make(f"{PODS}/unbound/binding", body, user="tenant") == 201


def test_an_agent_puts_back_on_pods_of_its_node_and_does_nothing_else(api: Api) -> None:
    for name, node in (("here", "node1"), ("there", "node2")):
        assert api.make(PODS, pod(name, node, own="1"), user="tenant") == 201
    wanted = dict.fromkeys(BOTH, "{}")
    agent = {"user": AGENT, "node": "node1"}
    assert api.annotate(f"{PODS}/here/status", wanted, **agent) == 200
    assert set(BOTH) <= set(api.annotations(f"{PODS}/here"))
    for path in (f"{PODS}/there/status", f"{PODS}/here", f"{PODS}/there"):
        assert api.annotate(path, {**wanted, BOTH[0]: "{ }"}, **agent) == 403
    assert api.annotate(f"{PODS}/here/status", {BOTH[0]: "{ }"}, user=AGENT) == 403, "no node"
    for change in (
        {"metadata": {"annotations": {"own": "2"}}},
        {"metadata": {"annotations": {"own": None}}},
        {"metadata": {"labels": {"app": "friend"}}},
        {"status": {"phase": "Failed"}},
    ):
        code, _ = api("PATCH", f"{PODS}/here/status", change, content=MERGE, **agent)
        assert code == 403, change


def test_a_node_is_what_its_agent_and_the_manager_say(api: Api) -> None:
    agent = {"user": AGENT, "node": "node1"}
    own, other = "/api/v1/nodes/node1", "/api/v1/nodes/node2"
    announced, decided = {names.NODE_CHASSIS_ID: "c1"}, {names.NODE_SUBNETS: "{}"}
    assert api.annotate(own, announced, **agent) == 200
    assert api.annotate(own, decided, user=MANAGER) == 200
    assert api.annotate(own, {"own": "1"}, user="tenant") == 200
    for path, notes, who in (
        (own, {names.NODE_CHASSIS_ID: "c2"}, {"user": "tenant"}),
        (own, {names.NODE_CHASSIS_ID: None}, {"user": "system:node:node1"}),
        (own, {names.NODE_CHASSIS_ID: "c2"}, {"user": MANAGER}),
        (own, {names.NODE_SUBNETS: "{ }"}, agent),
        (other, announced, agent),
        (other, {"own": "1"}, agent),
        (own, {names.NODE_ENCAP_IPS: "[]"}, {"user": AGENT}),
    ):
        for way in ("", "/status"):
            assert api.annotate(path + way, notes, **who) == 403, (path, notes, who)


def test_labels_of_physical_networks_are_the_agents_of_that_node(api: Api) -> None:
    agent = {"user": AGENT, "node": "node1"}
    own, other = "/api/v1/nodes/node1", "/api/v1/nodes/node2"
    rack, free = names.PHYSICAL_NETWORK_LABEL + "rack", "example.org/rack"

    def label(path: str, key: str, value: str | None, **who: str) -> int:
        return api.patch(path, {"metadata": {"labels": {key: value}}}, **who)

    assert label(own, free, "1", user="tenant") == 200
    assert label(own, rack, "true", **agent) == 200
    for path, key, value, who in (
        (own, rack, "false", {"user": "tenant"}),
        (own, rack, None, {"user": "system:node:node1"}),
        (own, rack, None, {"user": MANAGER}),
        (other, rack, "true", {"user": "tenant"}),
        (other, rack, "true", agent),
        (own, free, None, agent),
        (own, free, "2", agent),
    ):
        for way in ("", "/status"):
            assert label(path + way, key, value, **who) == 403, (path, key, value, who)
    assert label(own, rack, None, **agent) == 200


def test_a_nad_has_wefts_notes_whole_or_none(api: Api) -> None:
    noted = {
        names.NETWORK_NAME: "x",
        names.NETWORK_ID: "3",
        names.NETWORK_OWNER: "default/blue",
        names.ACCEPTED_CONFIG: "{}",
    }
    assert api.make(NADS, nad("forged", **noted), user="tenant") == 403
    assert api.make(NADS, nad("blue"), user="tenant") == 201
    path = f"{NADS}/blue"
    assert api.annotate(path, noted, user=MANAGER) == 200
    edits = ({names.NETWORK_ID: "4"}, {names.NETWORK_OWNER: "a/b"}, {names.ACCEPTED_CONFIG: None})
    for edit in edits:
        assert api.annotate(path, edit, user="tenant") == 403
    body = {"spec": {"config": '{"a": 1}'}}
    assert api("PATCH", path, body, content=MERGE, user="tenant")[0] == 200
    assert api.annotate(path, dict.fromkeys(noted), user="tenant") == 200


def test_an_agent_changes_nothing_of_its_node_but_what_is_wefts(api: Api) -> None:
    own, agent = "/api/v1/nodes/node1", {"user": AGENT, "node": "node1"}
    ready = {"type": "Ready", "status": "True", "reason": "r", "message": "m"}
    faults = {"type": names.OVN_CONDITION, "status": "True", "reason": "r", "message": "m"}
    assert api.patch(f"{own}/status", {"status": {"conditions": [ready]}}) == 200
    for body in (
        {"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}},
        {"metadata": {"finalizers": ["a/b"]}},
        {"metadata": {"annotations": {"of-the-agent": "1"}}},
        {"spec": {"unschedulable": True}},
        {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}},
    ):
        assert api.patch(own, body, **agent) == 403, body
    for status in (
        {"capacity": {"cpu": "64"}},
        {"conditions": [faults]},
        {"conditions": [{**ready, "status": "False"}, faults]},
        {"addresses": [{"type": "InternalIP", "address": "192.0.2.1"}]},
    ):
        assert api.patch(f"{own}/status", {"status": status}, **agent) == 403, status
    assert api.patch(f"{own}/status", {"status": {"conditions": [ready, faults]}}, **agent) == 200
    assert api.annotate(own, {names.VERSION: "1"}, **agent) == 200


def test_a_policys_note_is_wefts(api: Api) -> None:
    forged = {names.ACCEPTED_POLICY: "{}"}
    assert api.make(POLICIES, policy("forged", **forged), user="tenant") == 403
    assert api.make(POLICIES, policy("web"), user="tenant") == 201
    path = f"{POLICIES}/web"
    assert api.annotate(path, forged, user="tenant") == 403
    assert api.annotate(path, forged, user=MANAGER) == 200
    assert api.annotate(path, {names.ACCEPTED_POLICY: "{ }"}, user="tenant") == 403
    assert api.annotate(path, {"own": "1"}, user="tenant") == 200
    assert api.annotate(path, {names.ACCEPTED_POLICY: None}, user="tenant") == 200


def test_a_tenant_uses_networks_that_an_administrator_declares(api: Api) -> None:
    """By the roles alone: the group that may do everything is not theirs."""
    people = {"ann": "weft-network-admin", "tim": "weft-tenant", "vic": "weft-viewer"}
    group = "rbac.authorization.k8s.io"
    for person, role in people.items():
        binding = {
            "kind": "RoleBinding",
            "metadata": {"name": person, "namespace": "default"},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": group, "kind": "User", "name": person}],
        }
        kubernetes.apply(api, [binding])

    def ask(person: str, path: str, obj: Object | None = None) -> int:
        return api("POST" if obj else "GET", path, obj, user=person, group="people")[0]

    assert ask("ann", NADS, nad("red")) == 201
    assert ask("tim", NADS, nad("green")) == 403
    assert ask("tim", POLICIES, policy("tims")) == 201
    assert ask("vic", POLICIES, policy("vics")) == 403
    for person in people:
        for path in (f"{NADS}/red", f"{POLICIES}/tims"):
            assert ask(person, path) == 200
        assert ask(person, PODS) == 403


@pytest.mark.parametrize("user", ["tenant", "admin", AGENT])
def test_endpoints_are_written_by_the_manager_alone(api: Api, user: str) -> None:
    name = f"of-{user.rpartition(':')[2]}"
    made = endpoint(name, api("GET", "/api/v1/nodes/node1")[1]["metadata"]["uid"])
    assert api("POST", ENDPOINTS, made, user=user)[0] == 403
    assert api("POST", ENDPOINTS, made, user=MANAGER)[0] == 201
    moved = {"spec": {"node": "node2"}}
    code, response = api("PATCH", f"{ENDPOINTS}/{name}", moved, user=user, content=MERGE)
    assert (code, "manager alone" in response["message"]) == (403, True)
    assert api("DELETE", f"{ENDPOINTS}/{name}", user=user)[0] == 403
    collector = "system:serviceaccount:kube-system:generic-garbage-collector"
    assert api("PATCH", f"{ENDPOINTS}/{name}", moved, user=collector, content=MERGE)[0] == 403
    orphaned = {"metadata": {"ownerReferences": None}}
    assert api("PATCH", f"{ENDPOINTS}/{name}", orphaned, user=collector, content=MERGE)[0] == 200
    assert api("DELETE", f"{ENDPOINTS}/{name}", user=collector)[0] == 200


def test_the_manager_writes_its_condition_of_a_machine_and_no_more(api: Api) -> None:
    ready = {"type": "Ready", "status": "True"}
    own = {"type": conditions.MACHINE_CONFLICT, "status": "True", "reason": "R", "message": "m"}
    made = objects.machine("db", {"lan": "blue"}, kind=VMIS)
    made["metadata"]["labels"] = {"app": "db"}
    assert api.make(INSTANCES, {**made, **OF_KUBEVIRT}) == 201
    path = f"{INSTANCES}/db"
    assert patched(api, f"{path}/status", {"status": {"conditions": [ready]}}, user="admin") == 200
    status = {"conditions": [ready, own]}
    assert patched(api, f"{path}/status", {"status": status}, user=MANAGER) == 200
    forged = {"metadata": {"labels": {"app": "other"}}}
    until(Refused(api), f"{path}?dryRun=All", "PATCH", forged, user=MANAGER, content=MERGE)
    for way, change in (
        ("", {"spec": {"hostname": "other"}}),
        ("", {"metadata": {"labels": {"app": "other"}}}),
        ("", {"metadata": {"annotations": {"own": "1"}}}),
        ("", {"metadata": {"finalizers": ["own/one"]}}),
        ("/status", {"status": {"phase": "Failed"}}),
        ("/status", {"status": {"conditions": [own]}}),
        ("/status", {"status": {"conditions": [{**ready, "status": "False"}, own]}}),
        ("/status", {"status": {"conditions": [ready, {**own, "type": "Paused"}]}}),
    ):
        assert patched(api, path + way, change, user=MANAGER) == 403, change
        assert patched(api, f"{path}{way}?dryRun=All", change, user="admin") == 200, "the control"
    assert patched(api, f"{path}/status", {"status": {"conditions": [ready]}}, user=MANAGER) == 200


def patched(api: Api, path: str, change: Object, user: str) -> int:
    code, _ = api("PATCH", path, change, content=MERGE, user=user)
    return code
