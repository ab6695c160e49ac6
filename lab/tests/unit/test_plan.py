from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from weft_lab import plan, spec
from weft_lab.service import Ready, Service

components = st.sets(st.sampled_from(sorted(plan.COMPONENTS)))


def make(nodes: int = 3, chosen: set[str] | None = None, vlans: tuple[int, ...] = ()) -> plan.Plan:
    lab = spec.Lab(nodes=nodes, vlans=vlans)
    names = plan.COMPONENTS if chosen is None else chosen
    return plan.make(lab, state="/state", manifests=["/crds"], components=names)


def stuck(services: Iterable[Service]) -> set[str]:
    """Names of services that can never start: they wait for each other or for nothing known."""
    waiting = {service.name: set(service.after) for service in services}
    while free := [name for name, after in waiting.items() if not after]:
        for name in free:
            del waiting[name]
        for after in waiting.values():
            after.difference_update(free)
    return set(waiting)


@given(st.integers(1, 12), components)
def test_everything_can_start(nodes: int, chosen: set[str]) -> None:
    """Whatever parts are there, nothing waits for what does not come."""
    made = make(nodes, chosen, (20, 30))
    names = [service.name for service in made.services]
    assert len(names) == len(set(names))
    assert stuck(made.services) == set()


@given(st.integers(1, 12), components)
def test_each_service_can_tell_that_it_is_ready(nodes: int, chosen: set[str]) -> None:
    for service in make(nodes, chosen, (20, 30)).services:
        assert (service.ready is Ready.LISTENS) == bool(service.socket), service.name
        assert service.node == "" or service.name.startswith(f"{service.node}/")


def test_what_a_service_waits_for_is_seen() -> None:
    broken = stuck(one for one in make(1).services if one.name != "node1/ovsdb")
    assert {"node1/ovs-settings", "node1/vswitchd"} <= broken
    assert "node1/nb" not in broken


@given(st.integers(1, 6), st.integers(0, 6))
def test_growing_adds_and_moves_nothing(nodes: int, more: int) -> None:
    before, after = make(nodes), make(nodes + more)
    running = {service.name for service in before.services}
    assert {one.name for one in before.services} <= {one.name for one in after.services}
    added = plan.missing(after, running)
    assert len(added) == len(after.services) - len(before.services)
    known = {links.node for links in before.links}
    assert all(service.node not in known for service in added)
    assert plan.missing(after, [one.name for one in after.services]) == ()
    assert after.links[:nodes] == before.links


def test_link_names_fit_the_kernel() -> None:
    made = make(spec.MAX_NODES, vlans=(spec.MAX_VLAN,))
    for link in made.links:
        assert len(link.port) <= 15
        assert len(link.veth) <= 15
    assert all(len(host.veth) <= 15 for host in made.hosts)


def test_a_switch_comes_before_the_hosts_on_it_and_without_vlans_not_at_all() -> None:
    assert [host.name for host in make().hosts] == ["outside"]
    found = [(host.name, host.switch) for host in make(vlans=(30, 20)).hosts]
    assert found == [("outside", ""), ("rack", ""), ("vlan20", "rack"), ("vlan30", "rack")]
    added = {one.name for one in make(vlans=(20,)).services}
    added -= {one.name for one in make().services}
    parts = ("rack/ovsdb", "rack/ovs-settings", "rack/vswitchd", "vlan20/dhcp", "vlan20/database")
    assert added == {*parts}


def test_parts_name_modules_of_this_package() -> None:
    assert all(importlib.util.find_spec(module) for module in plan.COMPONENTS.values())


def test_agents_wait_for_their_databases_and_the_api() -> None:
    agent = next(one for one in make().services if one.name == "node2/agent")
    assert {"lab/api", "node2/nb", "node2/sb"} <= set(agent.after)
    assert not any(name.startswith("node1/") for name in agent.after)


def arguments(made: plan.Plan, name: str) -> list[str]:
    return list(next(one.argv for one in made.services if one.name == name))


def test_both_processes_know_the_clusters_network_and_a_node_its_way_out() -> None:
    made = make(2)
    for name in ("lab/cluster-manager", "node2/agent"):
        argv = arguments(made, name)
        assert argv[argv.index("--cluster-subnets") + 1] == spec.CLUSTER_SUBNETS
        assert "--allow-primary" in argv
    argv = arguments(made, "node2/agent")
    assert argv[argv.index("--gateway-address") + 1] == "172.31.1.102/24"
    assert argv[argv.index("--gateway-next-hop") + 1] == "172.31.1.1"


def test_gateways_have_the_families_of_the_pods() -> None:
    lab = spec.Lab(nodes=1, cluster_subnets="10.0.0.0/16,fd01::/48")
    argv = arguments(plan.make(lab, state="/state", manifests=["/crds"]), "node1/agent")
    assert argv[argv.index("--gateway-address") + 1] == "172.31.1.101/24,fd00:172:31:1::65/64"
    assert argv[argv.index("--gateway-next-hop") + 1] == "172.31.1.1,fd00:172:31:1::1"


def test_without_a_primary_nobody_is_reported_of_one() -> None:
    lab = spec.Lab(nodes=1, primary="none")
    made = plan.make(lab, state="/state", manifests=["/crds"])
    for name in ("lab/cluster-manager", "node1/agent"):
        own = {"--cluster-subnets", "--allow-primary", "--gateway-address"}
        assert not own & set(arguments(made, name))
    assert arguments(made, "node1/kubelet")[-1] == "none"


def test_no_overlay_may_overlap_what_pods_and_nodes_have() -> None:
    """Where weft is the primary, its own range is known by `--cluster-subnets`."""
    for primary, ranges in (("weft", "172.31.0.0/24"), ("none", "10.244.0.0/16,172.31.0.0/24")):
        made = plan.make(spec.Lab(primary=primary), state="/state", manifests=["/crds"])
        argv = arguments(made, "lab/cluster-manager")
        assert argv[argv.index("--reserved-subnets") + 1] == ranges


def test_an_mtu_that_fits_a_small_underlay() -> None:
    made = plan.make(spec.Lab(nodes=1, mtu=1338), state="/state", manifests=["/crds"])
    argv = arguments(made, "node1/agent")
    assert argv[argv.index("--default-mtu") + 1] == "1280"


def test_manager_and_agents_are_reported_of_the_same_global_namespaces() -> None:
    lab = spec.Lab(nodes=2, global_namespaces="shared,infra")
    made = plan.make(lab, state="/state", manifests=["/crds"], components=plan.COMPONENTS)
    told = {
        one.name: one.argv[one.argv.index("--global-namespaces") + 1]
        for one in made.services
        if "--global-namespaces" in one.argv
    }
    names = ("lab/cluster-manager", "node1/agent", "node2/agent")
    assert told == dict.fromkeys(names, "shared,infra")
    assert not any("--global-namespaces" in one.argv for one in make(2).services)


ROOT = Path(__file__).resolve().parents[3]


def hooks(path: str) -> Any:
    documents = yaml.safe_load_all((ROOT / path).read_text())
    return next(one for one in documents if one["kind"] == "ValidatingWebhookConfiguration")


def test_the_labs_webhook_is_that_of_a_cluster_at_another_address() -> None:
    ours, theirs = hooks("lab/weft_lab/webhook/webhook.yaml"), hooks("deploy/webhook.yaml")
    for each in (ours, theirs):
        at = [hook.pop("clientConfig") for hook in each["webhooks"]]
        if each is ours:
            assert at == [{"url": f"https://{plan.WEBHOOK}/admit"}]
    assert ours == theirs


def test_a_lab_has_a_webhook_where_it_is_asked_for() -> None:
    for webhook in (True, False):
        made = plan.make(spec.Lab(webhook=webhook), state="/state", manifests=["/crds"])
        assert ("--webhook" in arguments(made, "lab/cluster-manager")) == webhook
