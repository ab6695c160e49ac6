"""`weft check`: files in, mistakes and an exit status out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import bad_input
from tests.support.bad_input import good as nad
from tests.support.objects import pod
from weft.cli import main, mistakes
from weft.control.cluster import nads

RULES = nads.Rules(underlay_mtu=1500)
ROOT = Path(__file__).parents[3]
# What only a cluster knows: who holds what, what exists, and what the cluster has reserved.
IN_CLUSTER_ONLY = (
    "NetworkMissing",
    "ErrorAllocatingPod",
    "FailedCreatePodSandBox",
    "NoNetworkFound",
)
BESIDE_OTHERS = ("differs", "own-subnet", "reserved-subnet")


def found(*objects: Any) -> list[mistakes.Mistake]:
    return list(mistakes.find([("f", obj) for obj in objects], RULES, "default"))


@pytest.mark.parametrize(
    "case",
    [c for c in bad_input.DECLARED_NADS if c.name not in BESIDE_OTHERS]
    + [c for c in bad_input.POLICIES if c.reason not in IN_CLUSTER_ONLY],
    ids=lambda case: case.name,
)
def test_it_says_what_the_cluster_would_say(case: bad_input.Case) -> None:
    messages = [one.message for one in found(case.obj)]
    assert any(all(word in one for word in case.words) for one in messages), messages


@pytest.mark.parametrize("case", bad_input.ELEMENTS, ids=lambda case: case.name)
def test_a_selection_is_wrong_in_whatever_makes_the_pod(case: bad_input.Case) -> None:
    alone = found(case.obj)
    meta = {"annotations": case.obj["metadata"]["annotations"]}
    spec = {"template": {"metadata": meta}}
    within = found({"kind": "Deployment", "metadata": {"name": "web"}, "spec": spec})
    assert len(alone) == len(within)
    assert all("Pod default/web (of Deployment)" in one.message for one in within)


def test_of_two_nads_the_first_one_given_is_right() -> None:
    first, second = nad("z", mtu=1300), nad("a", mtu=1400)
    for obj in (first, second):
        obj["spec"]["config"] = obj["spec"]["config"].replace('"name": "', '"name": "same')
        obj["spec"]["config"] = obj["spec"]["config"].replace("samez", "n").replace("samea", "n")
    (one,) = found({"kind": "List", "items": [first, second]})
    assert "default/a declares" in one.message
    assert "mtu 1400" in one.message


def test_what_is_good_or_not_ours_is_passed_over() -> None:
    other = {"kind": "ConfigMap", "metadata": {"name": "c"}, "data": {}}
    (one,) = found(nad("good"), pod("p", networks="good"), other, None)
    assert one.verdict == "not checked"
    assert one.message == "ConfigMap default/c: weft does not read this kind"


def test_a_policy_that_is_in_force_in_part_is_no_error() -> None:
    cases = {case.name: case.obj for case in bad_input.POLICIES}
    assert [one.is_error for one in found(cases["y-peer"])] == [False]
    assert [one.is_error for one in found(cases["y-mode"])] == [True]


def test_what_a_namespace_logs_is_checked() -> None:
    notes = {"k8s.ovn.org/acl-logging": '{"deny": "loud"}'}
    (one,) = found({"kind": "Namespace", "metadata": {"name": "team", "annotations": notes}})
    assert one.message.startswith('Namespace team: k8s.ovn.org/acl-logging.deny "loud": must be')


@pytest.mark.parametrize("obj", [[], "x", {}, {"kind": "Pod"}, {"kind": "Pod", "metadata": []}])
def test_what_is_no_object_is_said(obj: Any) -> None:
    (one,) = found(obj)
    assert "metadata.name" in one.message


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["weft", "check", *words])
    try:
        return main.main()
    except SystemExit as end:
        return int(end.code or 0)


def test_status_and_forms(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "f.yaml"
    file.write_text(json.dumps(nad("bad", mtu=5)))
    assert run(monkeypatch, str(file)) == 1
    assert capsys.readouterr().out.startswith(f"{file}: error: NetworkAttachmentDefinition ")
    assert run(monkeypatch, str(file), "--output", "json") == 1
    (one,) = json.loads(capsys.readouterr().out)
    assert one["is_error"]
    file.write_text(json.dumps(nad("large", mtu=1500)))
    assert run(monkeypatch, str(file)) == 0
    assert ": warning: " in capsys.readouterr().out
    assert run(monkeypatch, str(file), "--underlay-mtu", "9000") == 0
    assert "Nothing is wrong with 1 object." in capsys.readouterr().out
    file.write_text(json.dumps(nad("own")))
    assert run(monkeypatch, str(file), "--reserved-subnets", "10.100.0.0/16") == 1


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "f.yaml"


@pytest.mark.parametrize("text", ["a: [", "\x00"])
def test_what_cannot_be_read_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], file: Path, text: str
) -> None:
    file.write_text(text)
    assert run(monkeypatch, str(file)) == 1
    assert f"Error: {file}: is neither YAML nor JSON" in capsys.readouterr().err
    assert run(monkeypatch, str(file.with_name("none"))) == 1
    assert "No such file" in capsys.readouterr().err
    assert run(monkeypatch, str(file), "--reserved-subnets", "x") == 1
    assert "--reserved-subnets" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        (
            {"kind": "VirtualMachine", "metadata": {"name": "a"}, "spec": 7},
            "VirtualMachine default/a: spec 7: must be an object",
        ),
        (
            {"kind": "Pod", "metadata": {"name": "a", "annotations": {"x": 5}}},
            "Pod default/a: metadata.annotations[x] 5: must be a string (put it in quotes)",
        ),
        (
            {"kind": "Pod", "metadata": {"name": 5}},
            "Pod default/5: metadata.name 5: must be a string (put it in quotes)",
        ),
        (
            {
                "apiVersion": "k8s.cni.cncf.io/v1beta3",
                "kind": "MultiNetworkPolicy",
                "metadata": {"name": "a"},
            },
            'MultiNetworkPolicy default/a: apiVersion "k8s.cni.cncf.io/v1beta3": must be'
            " k8s.cni.cncf.io/v1beta2 or k8s.cni.cncf.io/v1beta1",
        ),
    ],
)
def test_what_no_api_server_would_take_is_reported(obj: Any, message: str) -> None:
    assert [(one.message, one.is_error) for one in found(obj)] == [(message, True)]


def test_a_kind_that_is_misspelt_is_reported_and_one_of_others_is_not() -> None:
    (one,) = found({"kind": "VirtualMachin", "metadata": {"name": "a"}})
    assert one.message == (
        "VirtualMachin default/a: weft does not read this kind; did you mean VirtualMachine?"
    )
    assert one.verdict == "not checked"
    for kind in ("NetworkPolicy", "VirtualMachinePool", "Deployment", "Service", "Node"):
        (one,) = found({"kind": kind, "metadata": {"name": "a"}})
        assert one.message == f"{kind} default/a: weft does not read this kind"


TWICE = """\
apiVersion: k8s.cni.cncf.io/v1beta1
kind: MultiNetworkPolicy
metadata: {name: dup, annotations: {k8s.v1.cni.cncf.io/policy-for: red}}
spec:
  podSelector: {}
  ingress:
  - from:
    - podSelector: {matchLabels: {app: web}}
    ports: [{protocol: TCP, port: 6379}]
    ports: [{protocol: TCP, port: 8080}]
"""
OTHER = """\
apiVersion: k8s.ovn.org/v1
kind: EgressIP
metadata: {name: blue, namespace: default}
"""


def test_there_are_three_answers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "f.yaml"
    file.write_text(f"{OTHER}---\n{json.dumps(nad('good'))}\n")
    assert run(monkeypatch, str(file)) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown == [
        f"{file}: not checked: EgressIP default/blue: weft does not read this kind"
        " of k8s.ovn.org/v1",
        "2 objects: 0 errors, 0 warnings, 1 not checked.",
    ]
    file.write_text(f"{OTHER}---\n{TWICE}")
    assert run(monkeypatch, str(file)) == 1
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == (
        f"{file}: error: line 14: spec.ingress[0].ports appears twice in one object:"
        " only the last one would count"
    )
    assert shown[-1] == "2 objects: 1 error, 0 warnings, 1 not checked."
    assert run(monkeypatch, str(file), "--output", "json") == 1
    told = json.loads(capsys.readouterr().out)
    assert [(one["is_error"], one["checked"]) for one in told] == [(True, True), (False, False)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"kind":"Pod",\n\t"metadata":{"name":"a","name":"b"}}', "line 2: metadata.name appears"),
        ("kind: &k Pod\nmetadata: {name: *k}\nkind: Pod\n", "line 3: kind appears twice"),
    ],
)
def test_what_stands_twice_is_reported_in_either_language(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    file: Path,
    text: str,
    message: str,
) -> None:
    file.write_text(text)
    assert run(monkeypatch, str(file)) == 1
    assert message in capsys.readouterr().out


@pytest.mark.parametrize("text", ["a: " + "[" * 100_000, "[" * 100_000 + "]" * 100_000, "BOMB"])
def test_a_file_that_would_cost_too_much_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], file: Path, text: str
) -> None:
    ten = ",".join(["*a{0}"] * 10)
    bomb = "".join(f"a{n}: &a{n} [{ten.format(n - 1)}]\n" for n in range(1, 10))
    file.write_text("a0: &a0 [x]\n" + bomb if text == "BOMB" else text)
    assert run(monkeypatch, str(file)) == 1
    assert "more than" in capsys.readouterr().err


JUNK = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(
            st.sampled_from(
                [
                    "spec",
                    "template",
                    "domain",
                    "devices",
                    "interfaces",
                    "networks",
                    "name",
                    "bridge",
                    "multus",
                    "volumes",
                    "config",
                    "metadata",
                    "annotations",
                    "labels",
                    "ingress",
                    "from",
                    "ports",
                    "podSelector",
                    "matchLabels",
                ]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@given(st.sampled_from([*mistakes.SERVED, "Deployment"]), JUNK, JUNK)
def test_nothing_that_is_written_makes_it_stumble(kind: str, spec: Any, meta: Any) -> None:
    more = meta if isinstance(meta, dict) else {}
    for one in found({"kind": kind, "metadata": {"name": "a", **more}, "spec": spec}):
        assert one.message


def tenants(**config: Any) -> list[tuple[str, Any]]:
    """A network of namespace ta, and who else there is that names it."""
    base = nad("blue")
    own = json.loads(base["spec"]["config"]) | {"name": "blue", "netAttachDefName": "ta/blue"}
    meta = {"name": "blue", "namespace": "ta"}
    owner = base | {"metadata": meta, "spec": {"config": json.dumps(own | config)}}
    again = own | {"netAttachDefName": "tb/mine"}
    mine = base | {
        "metadata": {"name": "mine", "namespace": "tb"},
        "spec": {"config": json.dumps(again)},
    }
    notes = {"k8s.v1.cni.cncf.io/networks": "ta/blue"}
    thief = {
        "kind": "Pod",
        "metadata": {"name": "thief", "namespace": "tc", "annotations": notes},
    }
    template = {"metadata": {"annotations": notes}}
    deployment = {
        "kind": "Deployment",
        "metadata": {"name": "many", "namespace": "tc"},
        "spec": {"template": template},
    }
    return [("a.yaml", owner), ("b.yaml", mine), ("c.yaml", thief), ("d.yaml", deployment)]


def test_who_may_not_use_a_network_is_reported_as_far_as_files_know() -> None:
    told = {one.file: one.message for one in mistakes.find(tenants(), RULES, "default")}
    assert set(told) == {"b.yaml", "c.yaml", "d.yaml"}
    assert 'may not declare network "blue": it belongs to namespace ta' in told["b.yaml"]
    assert 'Pod tc/thief: may not use network "blue"' in told["c.yaml"]
    assert "many (of Deployment)" in told["d.yaml"]
    let_in = tenants(allowedNamespaces=["tb", "tc"])
    assert not list(mistakes.find(let_in, RULES, "default"))


def test_what_only_a_cluster_knows_of_a_namespace_is_not_called_wrong() -> None:
    chosen = tenants(allowedNamespaces=["tb"], namespaceSelector={"matchLabels": {"x": "y"}})
    assert not list(mistakes.find(chosen, RULES, "default"))
    known = {"kind": "Namespace", "metadata": {"name": "tc", "labels": {"x": "z"}}}
    told = mistakes.find([*chosen, ("n.yaml", known)], RULES, "default")
    assert {one.file for one in told} == {"c.yaml", "d.yaml"}


def user_defined(kind: str, spec: object) -> str:
    obj = {"apiVersion": "k8s.ovn.org/v1", "kind": kind, "metadata": {"name": "n"}, "spec": spec}
    return json.dumps(obj)


def test_user_defined_networks_are_checked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    flat = {"topology": "Layer2", "layer2": {"role": "Secondary", "subnets": ["10.9.0.0/24"]}}
    primary = {"topology": "Layer2", "layer2": {"role": "Primary", "subnets": ["10.9.0.0/24"]}}
    shared = {"namespaceSelector": {"matchLabels": {"team": 1}}, "network": flat}
    file = tmp_path / "f.yaml"
    listed = [
        user_defined("UserDefinedNetwork", flat),
        user_defined("UserDefinedNetwork", primary),
        user_defined("ClusterUserDefinedNetwork", shared),
    ]
    file.write_text("\n---\n".join(listed))
    assert run(monkeypatch, str(file)) == 1
    first, second, last = capsys.readouterr().out.splitlines()
    assert 'UserDefinedNetwork default/n: spec.layer2.role "Primary": is not served' in first
    assert "ClusterUserDefinedNetwork n: spec.namespaceSelector.matchLabels.team 1" in second
    assert last == "3 objects: 2 errors, 0 warnings, 0 not checked."
