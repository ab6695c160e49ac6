"""Policies as a whole: whom one isolates, what breaks it, and what then stays in force."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.support.policies import ABSENT, refused, written
from weft import names
from weft.api import policy
from weft.model import ObjectKey
from weft.policy.netpolicy import Direction, Logging, Mode, Operator, Policy, Requirement, Selector

BOTH = frozenset(Direction)
INGRESS = frozenset({Direction.INGRESS})
EGRESS = frozenset({Direction.EGRESS})


def test_smallest() -> None:
    assert policy.parse(written()) == Policy(
        namespace="ns1",
        name="guard",
        uid="u1",
        nads=(ObjectKey("ns1", "blue"),),
        pods=Selector(),
        directions=INGRESS,
    )


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("blue", (ObjectKey("ns1", "blue"),)),
        (" blue , ns2/red,ns1/blue ", (ObjectKey("ns1", "blue"), ObjectKey("ns2", "red"))),
        ("a.b", (ObjectKey("ns1", "a.b"),)),
    ],
)
def test_networks(text: str, keys: tuple[ObjectKey, ...]) -> None:
    assert policy.parse(written(networks=text)).nads == keys


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, INGRESS),
        ({"policyTypes": []}, INGRESS),
        ({"policyTypes": None}, INGRESS),
        ({"egress": []}, INGRESS),
        ({"egress": [{}]}, BOTH),
        ({"egress": [{"to": [{}]}]}, BOTH),
        ({"policyTypes": ["Egress"]}, EGRESS),
        ({"policyTypes": ["Egress"], "ingress": [{}]}, EGRESS),
        ({"policyTypes": ["Ingress"], "egress": [{}]}, INGRESS),
        ({"policyTypes": ["Ingress", "Egress", "Egress"]}, BOTH),
    ],
)
def test_directions(changes: dict[str, Any], expected: frozenset[Direction]) -> None:
    assert policy.parse(written(**changes)).directions == expected


def test_rules_of_a_direction_that_is_not_guarded_are_reported() -> None:
    parsed = policy.parse(written(policyTypes=["Ingress"], egress=[{}]))
    assert parsed.egress == ()
    (told,) = parsed.skipped
    assert (told.field, told.rule) == (
        "spec.egress",
        "has no effect: policyTypes does not list Egress",
    )


def test_modes() -> None:
    assert policy.parse(written(mode="audit")).mode is Mode.AUDIT
    assert policy.parse(written(mode="")).mode is Mode.ENFORCE


def test_pods_are_selected_alike_however_written() -> None:
    long = {"matchExpressions": [{"key": "b", "operator": "In", "values": ["2"]}]}
    one = written(podSelector={"matchLabels": {"a": "1"}, **long})
    other = written(podSelector={"matchLabels": {"b": "2", "a": "1"}})
    expected = Selector(
        (Requirement("a", Operator.IN, ("1",)), Requirement("b", Operator.IN, ("2",)))
    )
    assert policy.parse(one).pods == policy.parse(other).pods == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"networks": ABSENT}, "k8s.v1.cni.cncf.io/policy-for: is missing or empty"),
        ({"networks": " "}, "k8s.v1.cni.cncf.io/policy-for: is missing or empty"),
        ({"networks": "blue,"}, 'k8s.v1.cni.cncf.io/policy-for "": must be the name of a Network'),
        ({"networks": "a/b/c"}, 'policy-for "a/b/c": must be the name'),
        ({"networks": "/b"}, 'policy-for "/b": must be the name'),
        ({"networks": "Blue"}, 'policy-for "Blue": must be the name'),
        ({"networks": 5}, "policy-for 5: must be a string, not a number"),
        ({"mode": "Audit"}, 'weft/policy-mode "Audit": must be one of enforce, audit'),
        ({"podSelector": ABSENT}, "spec.podSelector: is missing"),
        ({"podSelector": []}, "spec.podSelector []: must be an object, not a list"),
        ({"podSelector": {"matchLabel": {}}}, "spec.podSelector.matchLabel: is not a field here"),
        ({"podSelector": {"app": "web"}}, "spec.podSelector.app: is not a field here"),
        ({"policyTypes": "Ingress"}, 'spec.policyTypes "Ingress": must be a list of strings'),
        ({"policyTypes": ["ingress"]}, 'spec.policyTypes[0] "ingress": must be one of Ingress'),
        ({"policyTypes": ["Ingress", ""]}, 'spec.policyTypes[1] "": must be one of Ingress'),
        ({"policyTypes": [None]}, "spec.policyTypes[0]: must be a string, not null"),
        ({"egres": [{}]}, "spec.egres: is not a field here"),
    ],
)
def test_broken_as_a_whole(changes: dict[str, Any], message: str) -> None:
    error = refused(written(**changes))
    assert str(error).startswith("MultiNetworkPolicy ns1/guard: ")
    assert message in str(error)


def test_no_spec_is_broken() -> None:
    assert refused({"metadata": {"name": "x"}}).field == "spec"
    assert refused([]).field == "spec"


def test_all_that_breaks_it_is_found() -> None:
    broken = written(networks="A", mode="x", policyTypes=["y"], podSelector=5)
    assert [problem.field.rpartition("/")[2] for problem in policy.problems(broken)] == [
        "spec.policyTypes[0]",
        "policy-for",
        "spec.podSelector",
        "policy-mode",
    ]


def test_of_very_many_problems_some_are_reported() -> None:
    broken = written(networks="," * 1000)
    assert len(policy.problems(broken)) == policy.MAX_PROBLEMS


def test_hints_name_what_was_meant() -> None:
    assert refused(written(mode="Audit")).hint == "write audit"
    assert refused(written(policyTypes=["ingress"])).hint == "write Ingress"
    assert refused(written(networks="a,")).hint == "remove the extra comma"
    assert refused(written(igress=[])).hint == "did you mean ingress?"


def annotated(obj: dict[str, Any]) -> dict[str, Any]:
    obj["metadata"]["annotations"][names.ACCEPTED_POLICY] = policy.annotation_to_keep(obj)
    return obj


def test_a_broken_policy_stands_as_it_was_accepted() -> None:
    good = written(mode="audit", egress=[{"to": [{"podSelector": {}}, {}]}])
    parsed = policy.parse(good)
    kept = annotated(good)
    assert policy.accepted(kept) == parsed
    kept["spec"] = {"podSelector": 5}
    kept["metadata"]["annotations"][names.POLICY_FOR] = ""
    assert policy.in_force(kept) == parsed


def test_what_was_last_said_goes_before_what_was_noted() -> None:
    obj = annotated(written())
    later = policy.parse(written(policyTypes=["Egress"]))
    obj["spec"] = {}
    assert policy.in_force(obj, later) == later
    obj["metadata"]["uid"] = "u2"
    standing = policy.in_force(obj, later)
    assert standing is not None
    assert standing.directions == INGRESS


def test_what_was_never_good_is_not_in_force() -> None:
    broken = written(networks="")
    assert policy.in_force(broken) is None
    assert policy.accepted(written()) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"spec": 1}', "[" * 100_000, "NaN"])
def test_an_unusable_note_says_nothing(text: str) -> None:
    obj = written(podSelector=ABSENT)
    obj["metadata"]["annotations"][names.ACCEPTED_POLICY] = text
    assert policy.in_force(obj) is None


def test_a_note_holds_nothing_else() -> None:
    one, other = written(), written()
    one["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = "x"
    one["status"] = {}
    assert policy.annotation_to_keep(one) == policy.annotation_to_keep(other)


def test_a_policy_remembers_networks_by_its_note() -> None:
    obj = written(networks="blue, red/blue")
    notes = obj["metadata"]["annotations"]
    notes[names.ACCEPTED_POLICY] = policy.annotation_with_networks(
        policy.annotation_to_keep(obj),
        {ObjectKey("ns1", "blue"): "blue", ObjectKey("red", "blue"): "sky"},
    )
    standing = policy.in_force(obj)
    assert standing is not None
    assert standing.networks({}) == {"blue", "sky"}
    assert standing.networks({ObjectKey("red", "blue"): "red"}) == {"blue", "red"}
    notes[names.POLICY_FOR] = "blue"
    fewer = policy.in_force(obj, standing)
    assert fewer is not None
    assert fewer.networks({}) == {"blue"}
    # The note may be taken off; broken, the policy remembers as well.
    annotated = notes.pop(names.ACCEPTED_POLICY)
    assert policy.in_force(obj, fewer) == fewer
    del obj["spec"]["podSelector"]
    assert policy.in_force(obj, fewer) == fewer
    notes[names.ACCEPTED_POLICY] = annotated
    assert policy.in_force(obj) == standing


@pytest.mark.parametrize("networks", [[], "blue", {"ns1/blue": 7}, {"ns1/blue": None}])
def test_unusable_networks_of_a_note_say_nothing(networks: object) -> None:
    obj = written()
    annotated = json.dumps({"networks": networks})
    obj["metadata"]["annotations"][names.ACCEPTED_POLICY] = annotated
    assert policy.in_force(obj) == policy.parse(obj)


def test_a_policy_too_long_is_not_noted() -> None:
    peers = [{"ipBlock": {"cidr": f"10.{n // 256}.{n % 256}.0/24"}} for n in range(5000)]
    assert policy.annotation_to_keep(written(ingress=[{"from": peers}])) == ""


def namespace(text: object) -> dict[str, Any]:
    return {"metadata": {"name": "ns1", "annotations": {names.ACL_LOGGING: text}}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Logging()),
        ("{}", Logging()),
        ('{"allow": "info", "deny": "alert"}', Logging(allow="info", deny="alert")),
        ('{"deny": "Warning"}', Logging(deny="warning")),
        ('{"allow": "", "deny": null}', Logging()),
    ],
)
def test_logging(text: str, expected: Logging) -> None:
    assert policy.logging(namespace(text)) == expected
    assert policy.logging_problems(namespace(text)) == []
    assert policy.logging({"metadata": {"name": "ns1"}}) == Logging()


@pytest.mark.parametrize(
    ("text", "expected", "message"),
    [
        ("{", Logging(), "k8s.ovn.org/acl-logging: is not valid JSON"),
        ("[]", Logging(), "k8s.ovn.org/acl-logging []: must be a JSON object, not a list"),
        ("info", Logging(), "k8s.ovn.org/acl-logging: is not valid JSON"),
        (
            '{"allow": "loud", "deny": "info"}',
            Logging(deny="info"),
            'k8s.ovn.org/acl-logging.allow "loud": must be one of alert, warning',
        ),
        ('{"deny": 3}', Logging(), "k8s.ovn.org/acl-logging.deny 3: must be a string"),
        ('{"drop": "info"}', Logging(), "k8s.ovn.org/acl-logging.drop: is not a field here"),
        (7, Logging(), "k8s.ovn.org/acl-logging 7: must be a string, not a number"),
    ],
)
def test_logging_that_is_wrong(text: object, expected: Logging, message: str) -> None:
    (problem,) = policy.logging_problems(namespace(text))
    assert str(problem).startswith(f"Namespace ns1: {message}")
    assert policy.logging(namespace(text)) == expected


FIELDS = ["podSelector", "from", "to", "ports", "port", "endPort", "ipBlock", "cidr", "except", "x"]
FIELDS += ["matchLabels", "matchExpressions", "key", "operator", "values"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 70000) | st.floats(0, 2) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(JSON, JSON, JSON, JSON)
def test_nothing_written_breaks_the_reader(
    one: object, two: object, net: object, sel: object
) -> None:
    broken = written(networks=net, podSelector=sel, ingress=one, egress=two)
    if found := policy.problems(broken):
        assert str(refused(broken)) == str(found[0])
    obj = written(ingress=one, egress=two)
    parsed = policy.parse(obj)
    assert {parsed, policy.accepted(annotated(obj))} == {parsed}


@given(st.lists(st.fixed_dictionaries({}, optional={"from": JSON, "ports": JSON}), max_size=3))
def test_only_what_names_nobody_means_everybody(rules: list[dict[str, Any]]) -> None:
    for rule in policy.parse(written(ingress=rules)).ingress:
        source = rules[rule.index]
        assert (rule.peers is None) == (source.get("from") in (None, []))
        assert (rule.ports is None) == (source.get("ports") in (None, []))


def test_the_published_policy() -> None:
    here = Path(__file__).parents[3] / "examples" / "policies"
    for path in sorted(here.glob("*ipblock*.yaml")):
        for obj in yaml.safe_load_all(path.read_text()):
            assert policy.parse(obj).skipped == ()


def test_notes_are_json() -> None:
    assert json.loads(policy.annotation_to_keep(written()))["spec"] == {"podSelector": {}}
