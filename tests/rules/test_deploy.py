"""The manifest for a cluster asks for no more than weft needs, and for what weft knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import weft
from weft.app import daemons, settings

Object = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"


def documents(*names: str) -> list[Object]:
    texts = [(DEPLOY / name).read_text() for name in names]
    return [each for text in texts for each in yaml.safe_load_all(text) if each]


ALL = documents("weft.yaml", "uninstall.yaml")
WORKLOADS = [each for each in ALL if each["kind"] in ("DaemonSet", "Deployment", "Job")]
# What each container may do beyond what every process may: docs/how-to/install.md says why.
CAPABILITIES = {
    ("weft-node", "agent"): {"NET_ADMIN", "NET_RAW", "SYS_ADMIN"},
    ("weft-openvswitch", "vswitchd"): {"NET_ADMIN", "NET_RAW"},
    ("weft-uninstall-node", "uninstall"): {"NET_ADMIN"},
}
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
SWITCH = {"ovsdb", "vswitchd"}  # who ends one ends its node's traffic: docs/how-to/install.md
ROOT_NEEDED = {"ovn-controller", "agent", "ovsdb", "vswitchd", "folder", "uninstall"}
PROCESSES = {"node": settings.AGENT, "cluster-manager": settings.CLUSTER_MANAGER}


def containers() -> list[Any]:
    found = []
    for workload in WORKLOADS:
        spec = workload["spec"]["template"]["spec"]
        for each in (*spec.get("initContainers", ()), *spec["containers"]):
            name = workload["metadata"]["name"]
            found.append(pytest.param(name, spec, each, id=f"{name}-{each['name']}"))
    return found


@pytest.mark.parametrize(("workload", "pod", "container"), containers())
def test_a_container_has_the_capabilities_that_it_needs_and_no_more(
    workload: str, pod: Object, container: Object
) -> None:
    context = container["securityContext"]
    assert context["allowPrivilegeEscalation"] is False
    assert context["readOnlyRootFilesystem"] is True
    assert "privileged" not in context
    assert context["capabilities"]["drop"] == ["ALL"]
    allowed = CAPABILITIES.get((workload, container["name"]), set())
    assert set(context["capabilities"].get("add", ())) == allowed
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    nobody = {**pod["securityContext"], **context}.get("runAsNonRoot", False)
    whole_node = workload in ("weft-node", "weft-openvswitch", "weft-uninstall-node")
    assert nobody is not (whole_node and container["name"] in ROOT_NEEDED)
    assert not pod.get("hostPID")
    assert not pod.get("hostIPC")


@pytest.mark.parametrize(("workload", "pod", "container"), containers())
def test_a_container_that_stays_is_watched_and_has_its_share(
    workload: str, pod: Object, container: Object
) -> None:
    if "uninstall" in workload:
        return
    assert {"cpu", "memory"} == set(container["resources"]["requests"])
    assert "memory" in container["resources"]["limits"]
    if "initContainers" in pod and container in pod["initContainers"]:
        return  # it ends
    probes = {each for each in PROBES if each in container}
    if container["name"] in SWITCH:
        assert probes == {"readinessProbe"}
    else:
        assert probes == set(PROBES)
        alive = container["livenessProbe"]
        assert alive["periodSeconds"] * alive["failureThreshold"] >= 300
    assert pod["priorityClassName"].startswith("system-")


@pytest.mark.parametrize(("workload", "pod", "container"), containers())
def test_every_flag_is_one_that_weft_knows(workload: str, pod: Object, container: Object) -> None:
    command, *rest = container["args"]
    if command in PROCESSES:
        known = {each.flag for each in PROCESSES[command]}
        assert {each.partition("=")[0] for each in rest} <= known
    elif command == "daemon":
        assert daemons.Daemon(rest[0])
    else:
        assert command == "uninstall"


@pytest.mark.parametrize(("workload", "pod", "container"), containers())
def test_one_image_of_this_version_serves_all(
    workload: str, pod: Object, container: Object
) -> None:
    assert container["image"] == f"localhost/weft:{weft.__version__}"


def test_the_chart_has_the_version_of_weft() -> None:
    chart = yaml.safe_load((DEPLOY / "chart/Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == weft.__version__


def test_a_node_is_served_whatever_its_taints() -> None:
    for each in WORKLOADS:
        if each["kind"] == "DaemonSet":
            assert {"operator": "Exists"} in each["spec"]["template"]["spec"]["tolerations"]


def test_an_upgrade_leaves_the_switch_and_always_keeps_a_manager() -> None:
    found = {each["metadata"]["name"]: each["spec"] for each in WORKLOADS}
    assert found["weft-openvswitch"]["updateStrategy"] == {"type": "OnDelete"}
    rolling = found["weft-cluster-manager"]["strategy"]["rollingUpdate"]
    assert rolling == {"maxSurge": 1, "maxUnavailable": 0}
    assert found["weft-cluster-manager"]["replicas"] == 2


def rights(found: list[Object]) -> list[Object]:
    kinds = ("ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding", "ServiceAccount")
    chosen = [each for each in found if each["kind"] in kinds]
    return sorted(chosen, key=lambda each: (each["kind"], each["metadata"]["name"]))


def test_accounts_and_policies_are_those_of_their_own_files() -> None:
    whole = documents("weft.yaml")
    assert rights(whole) == rights(documents("rbac.yaml"))
    policies = documents("admission-policy.yaml")
    found = [each for each in whole if each["kind"].startswith("ValidatingAdmissionPolicy")]
    key = lambda each: (each["kind"], each["metadata"]["name"])  # noqa: E731
    assert sorted(found, key=key) == sorted(policies, key=key)


def test_no_right_is_for_all_verbs_or_kinds_or_secrets() -> None:
    for each in rights(ALL):
        for rule in each.get("rules", ()):
            assert "*" not in (*rule.get("verbs", ()), *rule.get("resources", ()))
            if "secrets" in rule["resources"] and set(rule["verbs"]) != {"create"}:
                assert rule["resourceNames"], each["metadata"]["name"]


def test_tenants_make_networks_of_their_namespace_and_administrators_those_of_all() -> None:
    roles = {each["metadata"]["name"]: each for each in ALL if each["kind"] == "ClusterRole"}

    def makers(resource: str) -> set[str]:
        return {
            name
            for name, role in roles.items()
            for rule in role["rules"]
            if resource in rule["resources"] and "create" in rule["verbs"]
        }

    assert makers("userdefinednetworks") == {"weft-network-admin", "weft-tenant"}
    assert makers("networkqoses") == {"weft-network-admin", "weft-tenant"}
    assert makers("clusteruserdefinednetworks") == {"weft-network-admin"}
    assert makers("network-attachment-definitions") == {
        "weft-network-admin",
        "weft-cluster-manager",
    }
