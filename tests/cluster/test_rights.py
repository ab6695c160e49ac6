"""What weft's containers are allowed on a node, read from their processes."""

from __future__ import annotations

import pytest

from tests.cluster.access import Access, Object
from tests.cluster.chart import NAMESPACE
from tests.cluster.room import Room

pytestmark = pytest.mark.cluster
# linux/capability.h: numbers of those that a container of weft has.
NET_ADMIN, NET_RAW, SYS_ADMIN = 12, 13, 21
NOBODY = 65532
# User and capabilities of each container's first process; docs/how-to/install.md says why.
PROCESSES = {
    ("cluster-manager", "cluster-manager"): (NOBODY, set()),
    ("node", "nb"): (NOBODY, set()),
    ("node", "sb"): (NOBODY, set()),
    ("node", "northd"): (NOBODY, set()),
    ("node", "ovn-controller"): (0, set()),
    ("node", "agent"): (0, {NET_ADMIN, NET_RAW, SYS_ADMIN}),
    ("openvswitch", "ovsdb"): (0, set()),
    ("openvswitch", "vswitchd"): (0, {NET_ADMIN, NET_RAW}),
}
FILTERED = "2"  # Seccomp: a filter is in force (proc_pid_status(5))
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
UNENDED = {"ovsdb", "vswitchd"}  # the switch: who ends it ends its node's traffic


def containers(access: Access) -> list[tuple[Object, Object]]:
    found = access.get("pods", "-n", NAMESPACE)["items"]
    return [(pod, each) for pod in found for each in pod["spec"]["containers"]]


def status(access: Access, pod: Object, container: Object) -> dict[str, str]:
    """The first process of a running container, as its kernel has it."""
    output = access.kubectl(
        *("-n", NAMESPACE, "exec", pod["metadata"]["name"], "-c", container["name"], "--"),
        *("python3", "-I", "-c", "print(open('/proc/1/status').read())"),
    )
    pairs = (line.partition(":") for line in output.splitlines())
    return {key: value.strip() for key, _, value in pairs}


def test_every_process_has_its_rights_and_no_others(weft: Access) -> None:
    seen = set()
    for pod, container in containers(weft):
        key = (pod["metadata"]["labels"]["app.kubernetes.io/component"], container["name"])
        user, capabilities = PROCESSES[key]
        found = status(weft, pod, container)
        assert found["Uid"].split() == [str(user)] * 4, key
        mask = f"{sum(1 << each for each in capabilities):016x}"
        # A user that is not root has its bounding set alone, which is what it could ever gain.
        held = {each: found[each] for each in ("CapPrm", "CapEff", "CapBnd")}
        assert held == dict.fromkeys(held, mask), key
        assert found["CapAmb"] == f"{0:016x}", key
        assert found["NoNewPrivs"] == "1", key
        assert found["Seccomp"] == FILTERED, key
        seen.add(key)
    assert seen == set(PROCESSES)


def test_no_process_can_write_to_its_image(weft: Access) -> None:
    for pod, container in containers(weft):
        output = weft.kubectl(
            *("-n", NAMESPACE, "exec", pod["metadata"]["name"], "-c", container["name"], "--"),
            *("python3", "-I", "-c", "open('/usr/bin/made', 'w')"),
            ok=False,
        )
        assert "Read-only file system" in output or "Permission denied" in output


def test_every_container_is_probed_and_the_switch_is_never_ended(weft: Access) -> None:
    for _, container in containers(weft):
        probes = {each for each in PROBES if each in container}
        if container["name"] in UNENDED:
            assert probes == {"readinessProbe"}
            continue
        assert probes == set(PROBES)
        alive = container["livenessProbe"]
        assert alive["periodSeconds"] * alive["failureThreshold"] >= 300


def test_no_container_was_ended_by_a_probe(weft: Access) -> None:
    """Nothing was wrong with any for as long as a liveness probe waits."""
    told = weft.get("events", "-n", NAMESPACE, "--field-selector=reason=Killing")["items"]
    assert not [each["message"] for each in told if "liveness probe" in each["message"]]


@pytest.mark.parametrize(
    "process", [["node", "--node=node1"], ["cluster-manager"]], ids=lambda process: process[0]
)
def test_neither_process_is_a_primary_network_unless_told_to(
    here: Room, process: list[str]
) -> None:
    """With the image of this cluster. When allowed, the kubeconfig that it names is missed next."""
    name = f"primary-{process[0]}"
    pods = here.access.get("pods", "-n", NAMESPACE)["items"]
    arguments = [*process, "--cluster-subnets=10.128.0.0/14/23", "--kubeconfig=/none"]
    container = {
        "name": "c",
        "image": pods[0]["spec"]["containers"][0]["image"],
        "imagePullPolicy": "IfNotPresent",
    }
    for given, refused in ((arguments, True), ([*arguments, "--allow-primary"], False)):
        made = here.pod(name)
        made["spec"] |= {
            "containers": [{**container, "args": given}],
            "restartPolicy": "Never",
        }
        here.apply(made)
        here.wait("jsonpath={.status.phase}=Failed", f"pod/{name}")
        output = here.kubectl("logs", name)
        assert ("--allow-primary" in output) is refused, output
        here.delete(name)
