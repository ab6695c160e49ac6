"""Policies that admit what was seen: for any flows and labels, by the reference evaluator."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.support import objects as made
from weft import errors, names
from weft.api import policy
from weft.model import ObjectKey
from weft.observe import members
from weft.observe.flows.record import EndKind, Evidence, FlowEnd, FlowRecord, Verdict
from weft.observe.members import Object, Objects
from weft.observe.suggest import advice
from weft.observe.suggest.advice import Question
from weft.policy import evaluator, netpolicy
from weft.policy.netpolicy import Direction

NETWORK = "net-blue"
NADS = {ObjectKey("default", "blue"): NETWORK, ObjectKey("shop", "azure"): NETWORK}
BLUE = Question("blue")
HASH, ORDINAL = "pod-template-hash", "statefulset.kubernetes.io/pod-name"
MACHINE = {names.VM_NAME: "vm", "kubevirt.io": "virt-launcher"}


def nad(key: ObjectKey, network: str) -> Object:
    notes = {names.NETWORK_NAME: network}
    return {"metadata": {"namespace": key.namespace, "name": key.name, "annotations": notes}}


def pod(name: str, address: str, namespace: str = "default", **labels: str) -> Object:
    held = {"default/blue": {"ip_addresses": [f"{address}/24"], "mac_address": "0a:58:0a:09:00:02"}}
    notes = {names.NETWORKS: "default/blue", names.POD_NETWORKS: json.dumps(held)}
    meta = {"namespace": namespace, "name": name, "annotations": notes, "labels": labels}
    return {
        "metadata": meta,
        "spec": {"nodeName": "node1"},
        "status": {"phase": "Running"},
    }


def namespace(name: str, *, named: bool = True, **labels: str) -> Object:
    own = {"kubernetes.io/metadata.name": name} if named else {}
    return {"metadata": {"name": name, "labels": {**own, **labels}}}


def world(
    *pods: Object, namespaces: Sequence[Object] = (), policies: Sequence[Object] = ()
) -> Objects:
    homes = namespaces or [namespace(each) for each in ("default", "shop")]
    nads = [nad(*each) for each in NADS.items()]
    return Objects(nads=nads, namespaces=homes, pods=pods, policies=policies)


def end(what: Object | str) -> FlowEnd:
    if isinstance(what, str):
        return FlowEnd(address=what)
    meta = what["metadata"]
    machine = meta["labels"].get(names.VM_NAME)
    held = json.loads(meta["annotations"][names.POD_NETWORKS])["default/blue"]["ip_addresses"]
    return FlowEnd(
        EndKind.MACHINE if machine else EndKind.POD,
        meta["namespace"],
        machine or meta["name"],
        meta["name"],
        held[0].partition("/")[0],
    )


def flow(
    source: Object | str,
    target: Object | str,
    protocol: str = "TCP",
    port: int | None = 443,
    **more: Any,
) -> FlowRecord:
    base = {"connections": 2, "evidence": (Evidence.CONNECTION,), "verdict": Verdict.ALLOWED}
    return FlowRecord(
        NETWORK, end(source), end(target), protocol=protocol, port=port, **{**base, **more}
    )


def advise(objects: Objects, *flows: FlowRecord, question: Question = BLUE) -> advice.Advice:
    return advice.advise(question, flows, objects)


def specs(found: advice.Advice) -> dict[str, Any]:
    return {each["metadata"]["name"]: each["spec"] for each in yaml.safe_load_all(found.text)}


WEB = pod("web-5d4f7c9b6d-bcdfg", "10.9.0.1", app="web", **{HASH: "5d4f7c9b6d"})
WEB2 = pod("web-5d4f7c9b6d-hjklm", "10.9.0.2", app="web", **{HASH: "5d4f7c9b6d"})
DB = pod("db-0", "10.9.0.3", app="db", **{ORDINAL: "db-0"})
VM = pod("virt-launcher-vm-x", "10.9.0.4", **MACHINE)
ALL = world(WEB, WEB2, DB, VM)


def test_a_policy_for_each_end_with_what_was_seen() -> None:
    found = advise(ALL, flow(WEB, DB, port=5432))
    assert specs(found) == {
        "db-on-blue": {
            "podSelector": {"matchLabels": {"app": "db"}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {
                    "from": [{"podSelector": {"matchLabels": {"app": "web"}}}],
                    "ports": [{"protocol": "TCP", "port": 5432}],
                }
            ],
            "egress": [],
        },
        "web-on-blue": {
            "podSelector": {"matchLabels": {"app": "web"}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [],
            "egress": [
                {
                    "to": [{"podSelector": {"matchLabels": {"app": "db"}}}],
                    "ports": [{"protocol": "TCP", "port": 5432}],
                }
            ],
        },
    }
    assert [str(each) for each in found.scope.besides or ()] == [
        "default/web-5d4f7c9b6d-hjklm > default/db-0 TCP/5432"
    ]
    assert found.scope.unseen == ("default/web-5d4f7c9b6d-hjklm",)
    assert "# seen: 1 flow, 2 connections\n" in found.text


def test_the_annotation_names_a_nad_of_the_policys_namespace() -> None:
    cart = pod("cart", "10.9.0.9", "shop", app="cart")
    found = advise(world(WEB, cart), flow(cart, WEB))
    notes = {
        each["metadata"]["name"]: each["metadata"]["annotations"][names.POLICY_FOR]
        for each in found.manifests
    }
    assert notes == {"web-on-blue": "default/blue", "cart-on-azure": "shop/azure"}
    (rule,) = specs(found)["web-on-blue"]["ingress"]
    assert rule["from"] == [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}},
            "podSelector": {"matchLabels": {"app": "cart"}},
        }
    ]


def test_ports_in_ranges_and_addresses_in_subnets() -> None:
    flows = [flow(f"192.0.2.{n}", DB, port=port) for n in (2, 3) for port in (80, 81, 82, 443)]
    found = advise(ALL, *flows, flow(DB, "192.0.2.9", "UDP", 53))
    spec = specs(found)["db-on-blue"]
    assert spec["ingress"] == [
        {
            "from": [{"ipBlock": {"cidr": "192.0.2.2/31"}}],
            "ports": [
                {"protocol": "TCP", "port": 80, "endPort": 82},
                {"protocol": "TCP", "port": 443},
            ],
        }
    ]
    assert spec["egress"][0]["to"] == [{"ipBlock": {"cidr": "192.0.2.9/32"}}]


def test_ping_is_reported_and_admitted_only_with_everything() -> None:
    flows = (flow(WEB, DB, "ICMP", None), flow(WEB, DB, "47", None), flow(WEB, DB))
    found = advise(ALL, *flows)
    assert len(found.unsayable) == 2
    assert not found.audit
    text = "\n".join(advice.notices(found))
    assert "1 flows of ICMP are not admitted: a MultiNetworkPolicy cannot say ICMP" in text
    odd = advise(ALL, flow(WEB, DB), flow(WEB, DB, "\x1b[31m", None))
    assert "1 flows of another protocol" in "\n".join(advice.notices(odd))
    whole = advise(ALL, *flows, question=Question("blue", everything=True))
    (rule,) = specs(whole)["db-on-blue"]["ingress"]
    assert "ports" not in rule
    assert "this admits everything" in whole.text


def test_flows_without_ports_make_policies_that_only_audit() -> None:
    found = advise(ALL, flow(WEB, DB, "", None))
    assert found.audit
    assert {each["metadata"]["annotations"][names.POLICY_MODE] for each in found.manifests} == {
        "audit"
    }
    assert "look again" in "\n".join(advice.notices(found))
    assert advise(ALL, flow(WEB, DB), question=Question("blue", audit=True)).audit


def test_a_scan_opens_no_more_than_the_ports_that_are_listed() -> None:
    """What stands for many ports is no rule for all of them, and holds no policy in audit mode."""
    scan = [flow(WEB, DB, port=each) for each in (22, 80)]
    found = advise(ALL, *scan, flow(WEB, DB, port=None, more=65_000))
    assert not found.audit
    (rule,) = specs(found)["db-on-blue"]["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 22}, {"protocol": "TCP", "port": 80}]
    text = "\n".join(advice.notices(found))
    assert "default/web-5d4f7c9b6d-bcdfg > default/db-0 TCP (65000 ports)" in text
    assert [each.record.more for each in found.unsayable] == [65_000]
    older = advise(ALL, *scan, flow(WEB, DB, port=None))
    assert "(many ports)" in "\n".join(advice.notices(older))
    wide = advise(
        ALL,
        *scan,
        scan[0],
        flow(WEB, DB, port=None),
        question=Question("blue", "", everything=True),
    )
    text = "\n".join(advice.notices(wide))
    assert "--everything opens more than was seen between: default/web" in text
    assert "they admit nothing else" not in text


def test_a_protocol_whose_port_the_switch_did_not_look_at_makes_policies_audit() -> None:
    found = advise(ALL, flow(WEB, DB, port=None, evidence=(Evidence.SWITCH,)))
    assert found.audit
    assert specs(found)["db-on-blue"]["ingress"] == []
    assert "1 flows have no port" in "\n".join(advice.notices(found))


def test_a_machine_is_known_by_its_name_whatever_its_pod_is_called() -> None:
    before = flow(VM, DB)
    moved = pod("virt-launcher-vm-y", "10.9.0.4", **MACHINE)
    found = advise(world(moved, DB), before)
    assert specs(found)["vm-on-blue"]["podSelector"] == {"matchLabels": {names.VM_NAME: "vm"}}
    labelled = pod("virt-launcher-vm-z", "10.9.0.4", app="x", **MACHINE)
    found = advise(world(labelled, DB), before)
    assert specs(found)["vm-on-blue"]["podSelector"] == {"matchLabels": {"app": "x"}}


def test_what_is_left_out_is_counted() -> None:
    gone = pod("gone", "10.9.0.77")
    found = advise(
        ALL,
        flow(WEB, DB),
        flow(DB, WEB, verdict=Verdict.DENIED),
        flow(gone, DB),
        flow(WEB, names.SERVER_ADDRESS, "UDP", 67),
        flow(WEB, "255.255.255.255", "UDP", 67),
        flow(WEB, "ff02::16", "ICMP", None),
        flow(WEB, "224.0.0.22", "", None),
        FlowRecord("red", end(WEB), end(DB), Verdict.ALLOWED),
    )
    assert sorted(found.left_out.values()) == [1, 1, 1, 2, 2]
    assert len(found.admitted) == 1
    assert not found.audit


SPEC: Any = {"app": "db", "ingress": [{"ports": [{"port": 80}]}], "policyTypes": ["Ingress"]}


@pytest.mark.parametrize("protocol", ["TCP", "UDP", "SCTP", "ICMP", ""])
def test_what_policies_deny_now_is_not_opened_again(protocol: str) -> None:
    """A connection that is older than the policy lives on, and is seen as an allowed one."""
    shut = world(WEB, DB, policies=[made.policy(**SPEC)])
    older = flow(WEB, DB, protocol, 81 if protocol in ("TCP", "UDP", "SCTP") else None)
    everything = Question("blue", everything=True)
    for question in (BLUE, everything):
        found = advise(shut, older, flow(WEB, DB, port=80), flow(DB, WEB), question=question)
        (rule,) = specs(found)["db-on-blue"]["ingress"]
        assert rule["ports"] == [{"protocol": "TCP", "port": 80}]
        assert found.left_out == {"are denied by policies now": 1}
    with pytest.raises(errors.NotReady, match="1 are denied by policies now"):
        advise(shut, older)
    trial = world(WEB, DB, policies=[made.policy(mode="audit", **SPEC)])
    assert not advise(trial, older).left_out


def test_addresses_that_policies_admit_now_are_kept() -> None:
    block = [{"from": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}]
    near = made.policy("near", app="db", ingress=block, policyTypes=["Ingress"])
    found = advise(
        world(WEB, DB, policies=[near]),
        *(flow(each, DB) for each in ("192.0.2.1", "198.51.100.1", WEB)),
    )
    assert [str(each.addresses[0]) for each in found.admitted] == ["192.0.2.1"]


def test_whom_to_guard() -> None:
    flows = (flow(WEB, DB, port=5432), flow(VM, WEB))
    by_pod = advise(ALL, *flows, question=Question("blue", "db-0"))
    assert set(specs(by_pod)) == {"db-on-blue"}
    assert set(specs(advise(ALL, *flows, question=Question("blue", "vm/vm")))) == {"vm-on-blue"}
    ingress = Question("blue", "app=web", directions=(Direction.INGRESS,))
    (spec,) = specs(advise(ALL, *flows, question=ingress)).values()
    assert spec["podSelector"] == {"matchLabels": {"app": "web"}}
    assert spec["policyTypes"] == ["Ingress"]
    assert "egress" not in spec
    alone = advise(ALL, question=Question("blue", "db-0"))
    assert specs(alone)["db-on-blue"]["ingress"] == []


@pytest.mark.parametrize(
    "whom", ["nobody", "vm/db-0", "pod/vm", "app=nobody", "a=b=c", "app=web,", ""]
)
def test_who_is_nobody(whom: str) -> None:
    with pytest.raises((errors.InvalidInput, errors.NotReady)):
        advise(ALL, question=Question("blue", whom))


def test_times_are_times() -> None:
    when: Any = {"first_seen": "2026-11-30T16:00:00Z", "last_seen": "2026-11-30T16:01:00.250Z"}
    assert (
        "2026-11-30T16:00:00Z to 2026-11-30T16:01:00.250Z"
        in advise(ALL, flow(WEB, DB, **when)).text
    )
    forged: Any = {"first_seen": "x\n- evil: true", "last_seen": ""}
    assert "evil" not in advise(ALL, flow(WEB, DB, **forged)).text


KEYS = ("app", "tier", "pod-template-hash", "kubevirt.io/nodeName", names.VM_NAME)
labels = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(["a", "b", "c"]), max_size=3)
pod_names = st.sampled_from(["web", "web-1", "web-2", "x-5d4f7c9b6d-bcdfg", "x-5d4f7c9b6d-hjklm"])


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Objects, list[FlowRecord]]:
    keys = draw(
        st.lists(
            st.tuples(st.sampled_from(["default", "shop"]), pod_names),
            min_size=1,
            max_size=6,
            unique=True,
        )
    )
    pods = []
    for number, (home, name) in enumerate(keys, 1):
        one = pod(name, f"10.9.0.{number}", home)
        one["metadata"]["labels"].update(draw(labels))
        pods.append(one)
    homes = [
        namespace(each, named=draw(st.booleans()), **draw(st.sampled_from([{}, {"team": "t"}])))
        for each in ("default", "shop")
    ]
    ends = st.sampled_from([*pods, "192.0.2.1", "192.0.2.2", "10.9.0.200"])
    service = st.tuples(
        st.sampled_from(["TCP", "UDP", "SCTP", "ICMP", "47", ""]),
        st.sampled_from([80, 81, 443, 65535, None]),
    )
    flows = draw(
        st.lists(
            st.builds(
                lambda a, b, what, more, seen: flow(a, b, *what, more=more, evidence=(seen,)),
                *(ends, ends, service, st.sampled_from([0, 0, 9]), st.sampled_from([*Evidence])),
            ),
            max_size=10,
        )
    )
    return world(*pods, namespaces=homes), flows


questions = st.builds(
    Question,
    st.just("blue"),
    namespaces=st.sampled_from([(), ("default",), ("shop",)]),
    directions=st.sampled_from(
        [(Direction.INGRESS,), (Direction.EGRESS,), (Direction.INGRESS, Direction.EGRESS)]
    ),
    everything=st.booleans(),
)


@given(worlds(), questions)
def test_all_that_was_seen_is_admitted_for_any_flows_and_labels(
    made: tuple[Objects, list[FlowRecord]], question: Question
) -> None:
    """Judged here from the YAML on: parsed by weft, evaluated with the pods' own addresses."""
    objects, flows = made
    try:
        found = advise(objects, *flows, question=question)
    except errors.NotReady:
        return
    written = list(yaml.safe_load_all(found.text))
    for each in written:
        each["metadata"]["annotations"].pop(names.POLICY_MODE, None)
        assert not policy.parse(each).skipped
    policies = [policy.parse(each) for each in written]
    listed = {each.pod: each.endpoint for each in members.on(NETWORK, objects)}
    for each in flows:
        ends = [
            listed[f"{one.namespace}/{one.pod}"]
            if one.pod
            else netpolicy.Endpoint("", "", {}, {}, NETWORK, (ip_address(one.address),), {})
            for one in (each.source, each.target)
        ]
        known = {str(one): one for one in netpolicy.Protocol}
        protocol = known.get(each.protocol)
        if (protocol is None or each.port is None) and not question.everything:
            continue
        addresses = (ip_address(one.address) for one in (each.source, each.target))
        connection = netpolicy.Connection(protocol, each.port or 4711, *addresses)
        assert evaluator.allowed(policies, NADS, ends[0], ends[1], connection), found.text


@given(worlds(), questions)
def test_no_rule_is_without_ports_unless_everything_is_asked_for(
    made: tuple[Objects, list[FlowRecord]], question: Question
) -> None:
    objects, flows = made
    narrow = replace(question, everything=False)
    try:
        found = advise(objects, *flows, question=narrow)
    except errors.NotReady:
        return
    asked = {each.port for each in flows}
    for each in found.manifests:
        for rule in (*each["spec"].get("ingress", ()), *each["spec"].get("egress", ())):
            assert rule["ports"]
            for one in rule["ports"]:
                assert {*range(one["port"], one.get("endPort", one["port"]) + 1)} <= asked


@given(worlds())
def test_what_is_reported_as_admitted_besides_is_all_that_is(
    made: tuple[Objects, list[FlowRecord]],
) -> None:
    """Any pair and service that passes between guarded ends was seen, or is reported."""
    objects, flows = made
    try:
        found = advise(objects, *flows)
    except errors.NotReady:
        return
    policies = [policy.parse({**each}) for each in found.manifests]
    if found.audit:
        return
    besides = found.scope.besides or ()
    reported = {(one.source, one.target, one.protocol, one.port) for one in besides}
    were = {
        (each.source.id, each.target.id, str(each.protocol), each.port or 0)
        for each in found.admitted
        if each.source and each.target
    }
    listed = members.on(NETWORK, objects)
    for source in listed:
        for target in listed:
            guarded = any(
                evaluator.selects(one, NADS, who.endpoint)
                for one in policies
                for who in (source, target)
            )
            if source.pod == target.pod or not guarded:
                continue
            for _, _, protocol, port in {*were, *reported}:
                connection = netpolicy.Connection(
                    netpolicy.Protocol(protocol),
                    port or 30_000,
                    source.endpoint.addresses[0],
                    target.endpoint.addresses[0],
                )
                passes = evaluator.allowed(
                    policies, NADS, source.endpoint, target.endpoint, connection
                )
                one = (source.id, target.id, protocol, port)
                assert passes is (one in were or one in reported), (one, found.text)
