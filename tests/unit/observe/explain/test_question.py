"""What Kubernetes objects alone say: ends, networks, policies with rule and line."""

from dataclasses import replace
from typing import Any

import pytest

from tests.support import objects as made
from tests.unit.observe.test_members import entry, nad, pod
from weft import errors
from weft.observe.explain import naming, question, sentence
from weft.observe.explain.evidence import EndKind, NetworkFacts, UsedAddresses
from weft.observe.explain.policies import line_of, printed
from weft.observe.explain.question import Question
from weft.observe.explain.sentence import Outcome
from weft.observe.members import Objects
from weft.policy import netpolicy

HTTPS = netpolicy.Connection(netpolicy.Protocol.TCP, 443)
PING = netpolicy.Connection(None)


def network(name: str, **config: Any) -> dict[str, Any]:
    """A NAD that the cluster manager has accepted."""
    given = made.nad(name, config.pop("subnets", "10.9.0.0/24"), **config)
    given["metadata"]["annotations"] = nad(name, name)["metadata"]["annotations"]
    return given


def on_blue(name: str, number: int, **more: Any) -> dict[str, Any]:
    return pod(name, "blue", {"default/blue": entry(number, f"10.9.0.{number}/24")}, **more)


def world(*policies: dict[str, Any], pods: Any = (), **more: Any) -> naming.Found:
    there = pods or (
        on_blue("a", 1, labels={"app": "a"}),
        on_blue("b", 2, labels={"app": "b"}),
    )
    nads = (network("blue"), network("red", subnets="10.8.0.0/24"))
    namespaces = [{"metadata": {"name": "default"}}]
    return naming.Found(Objects(nads, namespaces, there, policies, **more))


def asked(found: naming.Found, source: str = "a", target: str = "b", **more: Any) -> Any:
    return question.answered(Question(source, target, more.pop("connection", HTTPS), **more), found)


RULE = {"from": [{"podSelector": {"matchLabels": {"app": "a"}}}]}
TCP80 = {"ports": [{"protocol": "TCP", "port": 80}]}


@pytest.mark.parametrize(
    ("rules", "change", "text"),
    [
        (
            [{**RULE, **TCP80}],
            "add TCP port 443 to spec.ingress[0].ports of default/guard",
            "ports:",
        ),
        (
            [{"from": [{"podSelector": {"matchLabels": {"app": "c"}}}]}],
            "add default/a to spec.ingress[0].from of default/guard",
            "- from:",
        ),
        (
            [{"from": [{"podSelector": {"matchLabels": {"app": "c"}}}], **TCP80}],
            "add a rule for default/a and TCP port 443 to spec.ingress of default/guard",
            "ingress:",
        ),
        (
            [],
            "add a rule for default/a and TCP port 443 to spec.ingress of default/guard",
            "ingress: []",
        ),
    ],
)
def test_a_policy_that_stops_it_is_named_with_the_nearest_change_and_its_line(
    rules: list[Any], change: str, text: str
) -> None:
    policy = made.policy(app="b", ingress=rules)
    evidence = asked(world(policy))
    _, finding = evidence.policies
    assert (finding.passes, finding.policies, finding.change) == (False, ("default/guard",), change)
    assert finding.line is not None
    assert finding.line.text == text
    assert printed(policy).splitlines()[finding.line.number - 1].strip() == text
    found = sentence.explain(evidence)
    assert found.outcome is Outcome.STOPPED
    assert f"(line {finding.line.number}: {text})" in found.sentence


def test_the_rule_that_allows_is_named_with_its_line() -> None:
    policy = made.policy(app="b", ingress=[{**RULE, **TCP80}, RULE])
    _, finding = asked(world(policy)).policies
    assert finding.passes
    assert finding.allowed == "default/guard"
    assert finding.line.path == "spec.ingress[1]"
    assert printed(policy).splitlines()[finding.line.number - 1].strip() == "- from:"


def test_an_audited_policy_stops_nothing_and_is_named() -> None:
    _, finding = asked(world(made.policy(app="b", mode="audit", ingress=[]))).policies
    assert finding.passes
    assert finding.audited == ("default/guard",)


def test_an_address_that_nobody_holds_is_matched_by_blocks_alone() -> None:
    everybody = made.policy(app="b", ingress=[{"from": [{"namespaceSelector": {}}]}])
    _, finding = asked(world(everybody), source="10.9.0.77").policies
    assert not finding.passes
    block = made.policy(app="b", ingress=[{"from": [{"ipBlock": {"cidr": "10.9.0.64/26"}}]}])
    _, finding = asked(world(block), source="10.9.0.77").policies
    assert finding.passes


def test_a_line_of_a_field_that_is_absent_is_its_parents() -> None:
    policy = made.policy(app="b", ingress=[{}])
    line = line_of(policy, "spec.ingress[0].ports")
    assert printed(policy).splitlines()[line.number - 1].strip() == "- {}"


def test_lines_count_as_kubectl_writes_texts_of_several_lines() -> None:
    policy = made.policy(app="b", ingress=[])
    policy["metadata"]["annotations"]["a"] = '{"x": 1}\n'
    text = printed(policy).splitlines()
    assert text[4:6] == ["    a: |", '      {"x": 1}']
    assert text[line_of(policy, "spec.ingress").number - 1] == "  ingress: []"


def test_an_address_is_the_member_that_holds_it() -> None:
    evidence = asked(world(), target="10.9.0.2")
    assert (evidence.target.name, evidence.target.kind) == ("default/b", EndKind.POD)
    assert str(evidence.connection.target) == "10.9.0.2"


def test_a_machine_is_its_pod_with_what_its_agent_reports() -> None:
    launcher = on_blue("virt-launcher-b-xyz", 2, labels={"vm.kubevirt.io/name": "b"})
    instance = {
        "metadata": {"namespace": "default", "name": "b"},
        "status": {
            "conditions": [{"type": "AgentConnected", "status": "True"}],
            "interfaces": [{"mac": "0A:58:00:00:00:02", "ipAddresses": ["fe80::1"]}],
        },
    }
    found = world(pods=(on_blue("a", 1), launcher), instances=[instance])
    evidence = asked(found, target="vm/b")
    assert evidence.target.kind is EndKind.MACHINE
    used = evidence.used["target"]
    assert isinstance(used, UsedAddresses)
    assert "default/b has no address: it was given 10.9.0.2/24" in (
        sentence.explain(evidence).sentence
    )


def test_a_machine_that_is_paused_is_named() -> None:
    def instance(name: str, paused: str) -> dict[str, Any]:
        meta = {"namespace": "default", "name": name}
        return {
            "metadata": meta,
            "status": {"conditions": [{"type": "Paused", "status": paused}]},
        }

    pods = (on_blue("a", 1), on_blue("launcher", 2, labels={"vm.kubevirt.io/name": "b"}))
    paused = world(pods=pods, instances=[instance("c", "True"), instance("b", "True")])
    assert sentence.explain(asked(paused, target="vm/b")).sentence == (
        "default/a does not reach default/b by TCP port 443 on blue: default/b is paused; "
        "unpause it: virtctl unpause vmi b -n default."
    )
    for others in ([instance("c", "True")], [instance("b", "False")], []):
        runs = asked(world(pods=pods, instances=others), target="10.9.0.2")
        assert runs.target.trouble == ""


def test_the_link_of_another_machine_with_the_same_mac_decides_nothing() -> None:
    def instance(namespace: str, name: str, state: str) -> dict[str, Any]:
        nic = {"mac": "0a:58:00:00:00:02", "linkState": state}
        meta = {"namespace": namespace, "name": name}
        return {"metadata": meta, "status": {"interfaces": [nic]}}

    pods = (on_blue("a", 1), on_blue("launcher", 2, labels={"vm.kubevirt.io/name": "b"}))
    others = [instance("shop", "b", "down"), instance("default", "c", "down")]
    up, down = instance("default", "b", "up"), instance("default", "b", "down")
    for instances, state in (([up, *others], ""), ([*others], ""), ([down, *others], "down")):
        target = asked(world(pods=pods, instances=instances), target="10.9.0.2").target
        assert target.link_state == state


def test_an_address_with_a_scope_is_no_address() -> None:
    with pytest.raises(errors.InvalidInput, match="is no pod, virtual machine or address"):
        asked(world(), target="fe80::1%x || ip")


@pytest.mark.parametrize(
    ("source", "more", "rule"),
    [
        ("nobody", {}, "is no pod, virtual machine or address"),
        ("shop/a", {}, "did you mean default/a?"),
        ("a", {"network": "green"}, "networks: blue, red"),
        ("b", {}, "is A itself"),
    ],
)
def test_what_does_not_exist_is_a_mistake_of_the_user(
    source: str, more: dict[str, Any], rule: str
) -> None:
    with pytest.raises(errors.InvalidInput) as raised:
        asked(world(), source=source, **more)
    assert rule in raised.value.in_full()


def test_an_address_that_nobody_holds_is_named() -> None:
    found = sentence.explain(asked(world(), target="10.9.0.77"))
    assert found.outcome is Outcome.STOPPED
    assert "nobody on blue holds 10.9.0.77; weft ip --network blue lists" in found.sentence


def test_an_address_is_looked_for_in_subnets_before_networks_without() -> None:
    pods = [
        pod("a", "blue,bare", {"default/blue": entry(1, "10.9.0.1/24"), "default/bare": entry(9)})
    ]
    nads = (network("blue"), network("bare", subnets=""))
    evidence = asked(naming.Found(Objects(nads, (), pods)), target="10.9.0.77")
    assert evidence.network.name == "blue"


def test_only_a_localnet_leads_outside() -> None:
    found = sentence.explain(asked(world(), target="outside"))
    assert "only networks of topology localnet lead outside" in found.sentence
    dmz = network("dmz", subnets="10.7.0.0/24", topology="localnet", physicalNetworkName="phys")
    pods = [pod("a", "dmz", {"default/dmz": entry(1, "10.7.0.1/24")})]
    evidence = asked(naming.Found(Objects((dmz,), (), pods)), target="outside")
    assert evidence.network.name == "dmz"
    assert sentence.explain(evidence).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("source", "target", "network", "read"),
    [
        ("a", "b", "", ("default",)),
        ("shop/a", "vm/data/b", "net/blue", ("default", "shop", "data", "net")),
        ("pod/a", "10.9.0.1", "blue", ("default",)),
        ("pod/pod/a", "fe80::1", "", ("default", "pod")),
        ("../x/a", "A B/c", "", ("default", "x")),
    ],
)
def test_who_may_not_list_everything_reads_the_namespaces_that_he_names(
    source: str, target: str, network: str, read: tuple[str, ...]
) -> None:
    assert question.namespaces(Question(source, target, HTTPS, network)) == read


MINE = frozenset({"default"})


def tenant(found: naming.Found, **unread: frozenset[str]) -> naming.Found:
    """What one sees who may list these kinds in these namespaces alone."""
    plurals = {"nads": "network-attachment-definitions", "policies": "multi-networkpolicies"}
    partial = {plurals.get(kind, kind): read for kind, read in unread.items()}
    return replace(found, partial=partial)


def seen(found: naming.Found, name: str, **more: Any) -> tuple[str, str]:
    """The verdict of a step, and its text; and the end of the question is never a guess."""
    explained = sentence.explain(asked(found, **more))
    assert explained.outcome is Outcome.UNKNOWN, explained.sentence
    return next((str(step.verdict), step.seen) for step in explained.steps if step.name == name)


def test_rights_in_the_own_namespace_suffice_to_judge_its_policies() -> None:
    policy = made.policy(app="b", ingress=[])
    found = tenant(world(policy), pods=MINE, policies=MINE, nads=MINE, namespaces=MINE)
    explained = sentence.explain(asked(found))
    assert (explained.outcome, explained.cause) == (Outcome.STOPPED, "ingress policies")


def test_policies_that_may_not_be_listed_are_not_seen() -> None:
    found = tenant(world(), policies=frozenset())
    for name in ("egress policies", "ingress policies"):
        why = "you may not list the policies of namespace default"
        assert seen(found, name) == ("not seen", why)


def test_a_rule_is_not_judged_without_the_labels_of_the_peers_namespace() -> None:
    policy = made.policy(app="b", ingress=[{"from": [{"namespaceSelector": {}}]}])
    found = tenant(world(policy), namespaces=frozenset())
    why = "you may not read the labels of namespace default"
    assert seen(found, "ingress policies") == ("not seen", why)
    assert seen(found, "egress policies") == ("ok", "none selects default/a")


def test_a_policy_for_a_nad_that_may_not_be_read_is_not_judged() -> None:
    policy = made.policy(app="b", ingress=[])
    policy["metadata"]["annotations"]["k8s.v1.cni.cncf.io/policy-for"] = "shop/same"
    found = tenant(world(policy), nads=MINE)
    why = "policy default/guard is for shop/same, a NAD that you may not read"
    assert seen(found, "ingress policies") == ("not seen", why)


def test_a_network_whose_nad_may_not_be_read_is_not_seen() -> None:
    pods = [on_blue("a", 1), pod("b", "shop/same", {"shop/same": entry(2, "10.9.0.2/24")})]
    found = tenant(world(pods=pods), nads=MINE)
    assert seen(found, "network") == ("not seen", "you may not read the NAD shop/same")
    attached = seen(found, "target attachment", network="blue")
    assert attached == ("not seen", "you may not read the NAD shop/same")


def test_who_holds_an_address_is_not_seen_without_all_pods() -> None:
    found = tenant(world(made.policy(app="a", policyTypes=["Egress"])), pods=MINE)
    blind = "you may not list the pods of all namespaces"
    assert seen(found, "target", target="10.9.0.77") == (
        "not seen",
        f"who holds 10.9.0.77: {blind}",
    )
    for name in ("egress policies", "ingress policies"):
        assert seen(found, name, target="10.9.0.77") == ("not seen", blind)


def test_pods_of_a_named_namespace_must_be_listed() -> None:
    with pytest.raises(errors.WeftError, match="you may not list the pods of namespace shop"):
        asked(tenant(world(), pods=MINE), target="shop/b")


def test_a_machine_is_known_by_its_pod_where_instances_may_not_be_listed() -> None:
    pods = (on_blue("a", 1), on_blue("launcher", 2, labels={"vm.kubevirt.io/name": "b"}))
    found = tenant(world(pods=pods), virtualmachineinstances=frozenset())
    assert seen(found, "target address", target="vm/b") == (
        "not seen",
        "you may not list virtual machine instances of namespace default",
    )


def test_two_networks_in_common_need_a_choice() -> None:
    both = {"default/blue": entry(1, "10.9.0.1/24"), "default/red": entry(3, "10.8.0.1/24")}
    pods = [pod("a", "blue,red", both), pod("b", "blue,red", both)]
    with pytest.raises(errors.InvalidInput, match="both are on blue, red"):
        asked(world(pods=pods))
    chosen = asked(world(pods=pods), network="red").network
    assert isinstance(chosen, NetworkFacts)
    assert chosen.name == "red"


def test_ends_without_a_network_in_common() -> None:
    pods = [on_blue("a", 1), pod("b", "red", {"default/red": entry(3, "10.8.0.1/24")})]
    found = sentence.explain(asked(world(pods=pods), connection=PING))
    assert found.outcome is Outcome.STOPPED
    assert "they share no network: default/a is on blue; default/b is on red" in found.sentence


def test_a_pod_that_waits_for_its_address_says_why() -> None:
    pods = [on_blue("a", 1), pod("b", "blue", {}, phase="Pending")]
    found = naming.Found(
        Objects((network("blue"),), (), pods), warnings={"default/b": "no address is free"}
    )
    stopped = sentence.explain(asked(found))
    assert "default/b is Pending: no address is free" in stopped.sentence
