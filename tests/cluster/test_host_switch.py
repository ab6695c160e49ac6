"""A node with an Open vSwitch of its own: weft uses it, changes nothing of it, and leaves it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests.cluster import chart, plan
from tests.cluster.access import Access
from tests.cluster.chart import Chart, address, network, pod
from tests.cluster.cluster import Machine, until

pytestmark = pytest.mark.cluster
HERE, THERE = "switch-a", "switch-b"
IMAGE, ROOT = "localhost/weft:0.1.0", "/run/host-ovs"
# Where packages do not put it: this host's switch is found by its socket.
DATABASE = "/var/lib/host-ovs/conf.db"
RUN = "/run/openvswitch"
SERVER = f"{RUN}/ovsdb-server.pid"
DAEMONS = (
    plan.Service(
        "host-ovsdb-server",
        (
            *("chroot", ROOT, "/usr/sbin/ovsdb-server", f"--remote=punix:{RUN}/db.sock"),
            *("-vsyslog:off", f"--pidfile={SERVER}", DATABASE),
        ),
        notifies=False,
    ),
    plan.Service(
        "host-ovs-vswitchd",
        (
            *("chroot", ROOT, "/usr/sbin/ovs-vswitchd", "--pidfile", "-vsyslog:off"),
            f"unix:{RUN}/db.sock",
        ),
        notifies=False,
    ),
)


def vsctl(node: Machine, *arguments: str) -> str:
    return node.run("chroot", ROOT, "/usr/bin/ovs-vsctl", *arguments).stdout.decode()


def exists(node: Machine, path: str) -> bool:
    return node.run("test", "-e", path, check=False).returncode == 0


@pytest.fixture(scope="module")
def host(access: Access) -> Iterator[Machine]:
    """The second node, with a switch that runs outside of Kubernetes, from files of weft's image.

    Its administrator has a bridge, and a name for the host.
    """
    own = access.machines()
    if chart.is_installed(access):
        Chart(access).helm("uninstall", "weft", "-n", chart.NAMESPACE)
    own.import_image(chart.image())
    node = own.nodes[1]
    node.run("mkdir", "-p", ROOT, RUN)
    node.run("ctr", "-n", "k8s.io", "images", "mount", "--rw", IMAGE, ROOT)
    for folder in (RUN, "/dev", "/proc", "/sys"):
        node.run("mkdir", "-p", f"{ROOT}{folder}")
        # Not what is mounted below: an unmount of that would reach the node's own.
        node.run("mount", "--bind", folder, f"{ROOT}{folder}")
    node.run("mkdir", "-p", f"{ROOT}/var/lib/host-ovs", f"{ROOT}/etc/openvswitch")
    node.run("chroot", ROOT, "/usr/bin/ovsdb-tool", "create", DATABASE)
    for each in DAEMONS:
        node.start(each)
        if each is DAEMONS[0]:
            until(
                lambda: node.run("test", "-S", f"{RUN}/db.sock", check=False).returncode == 0, RUN
            )
    vsctl(node, "--no-wait", "set", "Open_vSwitch", ".", "external_ids:hostname=its-own-name")
    vsctl(node, "add-br", "br-admin", "--", "set", "Bridge", "br-admin", "datapath_type=netdev")
    yield node
    vsctl(node, "del-br", "br-admin")
    for each in reversed(DAEMONS):
        node.stop(each.name)
    node.run("sh", "-c", f"rm -rf {RUN}/*")
    for folder in (RUN, "/dev", "/proc", "/sys"):
        node.run("umount", "-l", f"{ROOT}{folder}")
    node.run("ctr", "-n", "k8s.io", "images", "unmount", "--rm", ROOT, check=False)


@pytest.fixture(scope="module")
def installed(access: Access, host: Machine) -> Iterator[Chart]:
    made = Chart(access)
    made.upgrade()
    access.kubectl("apply", "-f", "-", data=network("switch-blue", "10.9.8.0/24"))
    for name, node in ((HERE, access.nodes()[0]), (THERE, host.name)):
        access.kubectl("apply", "-f", "-", data=pod(name, node, "switch-blue"))
    access.wait("condition=Ready", f"pod/{HERE}", f"pod/{THERE}")
    yield made
    access.kubectl("delete", "pod", HERE, THERE, "--ignore-not-found")
    if chart.is_installed(access):
        made.helm("uninstall", "weft", "-n", chart.NAMESPACE)
    with contextlib.suppress(AssertionError):
        access.kubectl("delete", "net-attach-def", "switch-blue", "--timeout=30s")


def test_pods_of_both_kinds_of_nodes_reach_each_other(installed: Chart) -> None:
    access = installed.access
    there = address(access, THERE)
    installed.answers(HERE, there)  # a pod is ready before the other node knows it
    assert ", 0% packet loss" in access.inside(HERE, "ping", "-c3", "-W5", there)


def test_wefts_own_switch_stays_away_from_that_node(installed: Chart, host: Machine) -> None:
    found = installed.access.get(
        *("-n", chart.NAMESPACE, "pods", "-l", "app.kubernetes.io/component=openvswitch"),
        f"--field-selector=spec.nodeName={host.name}",
    )["items"]
    for each in ("ovsdb", "vswitchd"):
        output = installed.kubectl("logs", found[0]["metadata"]["name"], "-c", each)
        assert "this node uses the Open vSwitch of its host" in output
    assert not exists(host, f"{RUN}/conf.db")


def test_what_the_administrator_set_stays(installed: Chart, host: Machine) -> None:
    assert {"br-admin", "br-int"} <= set(vsctl(host, "list-br").split())
    output = vsctl(host, "get", "Open_vSwitch", ".", "external_ids:hostname")
    assert output.strip().strip('"') == "its-own-name"


def test_its_switch_goes_on_without_weft(installed: Chart, host: Machine, access: Access) -> None:
    before = host.running()
    access.kubectl("delete", "pod", HERE, THERE)
    installed.helm("uninstall", "weft", "-n", chart.NAMESPACE)
    assert vsctl(host, "list-br").split() == ["br-admin"]
    assert (
        vsctl(host, "get", "Open_vSwitch", ".", "external_ids").strip() == "{hostname=its-own-name}"
    )
    assert host.running() == before, "its daemons were not restarted"
    tunnel = str(access.machines().spec.members[1].tunnel_address)
    assert tunnel in host.run("ip", "-br", "address", "show", "dev", "eth1").stdout.decode()
