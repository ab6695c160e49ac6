"""What roles allow, and what they do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import weft_lab
from weft_lab.apiserver import access, machineapi, machineverbs, rbac
from weft_lab.apiserver.auth import ANONYMOUS, MASTERS, User
from weft_lab.apiserver.rbac import Attributes, Rule

KUBEVIRT = Path(weft_lab.__file__).parent / "access/kubevirt.yaml"
TENANT = User("tenant", groups=("tenants", "system:authenticated"))


def role(name: str, *rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **more.pop("meta", {})}, "rules": list(rules), **more}


def rule(verbs: list[str], resources: list[str], group: str = "", **more: Any) -> dict[str, Any]:
    return {"verbs": verbs, "apiGroups": [group], "resources": resources, **more}


def binding(called: str, role_name: str, home: str = "", /, **subject: str) -> dict[str, Any]:
    return {
        "metadata": {"name": called, "namespace": home},
        "roleRef": {"kind": "ClusterRole", "name": role_name},
        "subjects": [subject],
    }


def grants(*roles: dict[str, Any], everywhere: Any = (), local: Any = ()) -> rbac.Grants:
    by_namespace: dict[str, list[dict[str, Any]]] = {}
    for each in local:
        by_namespace.setdefault(each["metadata"]["namespace"], []).append(each)
    named = {each["metadata"]["name"]: each for each in roles}
    return rbac.Grants(named, {}, list(everywhere), by_namespace)


READ = rule(["get", "list"], ["pods", "pods/log"])


def test_a_binding_gives_a_role_in_its_namespace_alone() -> None:
    found = grants(role("r", READ), local=[binding("b", "r", "a", kind="User", name="tenant")])
    get = Attributes("get", resource="pods", namespace="a", name="web")
    assert found.allows(TENANT, get)
    assert not found.allows(User("other"), get)
    for changed in (
        {"namespace": "b"},
        {"namespace": ""},
        {"verb": "delete"},
        {"resource": "secrets"},
        {"group": "apps"},
        {"subresource": "status"},
    ):
        asked = {"verb": "get", "resource": "pods", "namespace": "a", **changed}
        assert not found.allows(TENANT, Attributes(**asked)), changed
    log = Attributes("get", resource="pods", subresource="log", namespace="a")
    assert found.allows(TENANT, log)


def test_a_refusal_names_the_roles_that_were_not_found() -> None:
    found = grants(local=[binding("b", "gone", "a", kind="User", name="tenant")])
    assert found.absent(TENANT, "a") == ['clusterrole.rbac.authorization.k8s.io "gone" not found']
    assert found.absent(TENANT, "b") == []
    get = Attributes("get", resource="pods", namespace="a")
    refusal = access.refused(TENANT, get, found.absent(TENANT, "a"))
    assert str(refusal).endswith('RBAC: clusterrole.rbac.authorization.k8s.io "gone" not found')


def test_subjects_are_users_groups_and_service_accounts() -> None:
    account = User("system:serviceaccount:a:bot", groups=("system:serviceaccounts",))
    get = Attributes("get", resource="pods", namespace="a")
    for subject, user in (
        ({"kind": "Group", "name": "tenants"}, TENANT),
        ({"kind": "ServiceAccount", "name": "bot", "namespace": "a"}, account),
        ({"kind": "ServiceAccount", "name": "bot"}, account),
    ):
        found = grants(role("r", READ), local=[binding("b", "r", "a", **subject)])
        assert found.allows(user, get), subject
        assert not found.allows(ANONYMOUS, get)


def test_names_are_asked_for_one_by_one() -> None:
    named = rule(["get", "create"], ["configmaps"], resourceNames=["m"])
    found = grants(role("r", named), everywhere=[binding("b", "r", kind="User", name="tenant")])
    assert found.allows(TENANT, Attributes("get", resource="configmaps", name="m"))
    assert not found.allows(TENANT, Attributes("get", resource="configmaps", name="n"))
    assert not found.allows(TENANT, Attributes("create", resource="configmaps"))


def test_a_role_has_the_rules_of_those_that_it_aggregates() -> None:
    part = role("part", READ, meta={"labels": {"into": "whole"}})
    whole = role(
        "whole", aggregationRule={"clusterRoleSelectors": [{"matchLabels": {"into": "whole"}}]}
    )
    to_tenant = [binding("b", "whole", kind="User", name="tenant")]
    asked = Attributes("list", resource="pods")
    assert grants(part, whole, everywhere=to_tenant).allows(TENANT, asked)
    assert not grants(whole, everywhere=to_tenant).allows(TENANT, asked)


@pytest.mark.parametrize("name", ["admin", "edit", "view", "migrate"])
def test_who_may_view_machines_does_nothing_to_them(name: str) -> None:
    """And who may edit them moves none: that has a role of its own."""
    roles = [one for one in yaml.safe_load_all(KUBEVIRT.read_text()) if "rules" in one]
    bound = binding("b", f"kubevirt.io:{name}", "a", kind="User", name="tenant")
    found = grants(*roles, local=[bound])
    for entry in machineapi.entries():
        plural, _, below = entry["name"].partition("/")
        moves = below in ("migrate", machineverbs.EVACUATION)
        may = name == "migrate" if moves else name in ("admin", "edit")
        for verb in ("get", "update", "create", "patch", "delete"):
            asked = Attributes(verb, machineapi.GROUP, plural, below, "a", "m")
            assert bool(found.allows(TENANT, asked)) is (may and verb in entry["verbs"]), asked


def test_paths_that_are_no_resources() -> None:
    paths = {"verbs": ["get"], "nonResourceURLs": ["/healthz", "/apis/*"]}
    found = grants(role("r", paths), everywhere=[binding("b", "r", kind="User", name="tenant")])
    assert found.allows(TENANT, Attributes("get", path="/apis/x/v1"))
    assert not found.allows(TENANT, Attributes("get", path="/metrics"))
    assert not found.allows(TENANT, Attributes("post", path="/healthz"))


def test_masters_may_do_everything_and_nobody_else() -> None:
    found = grants()
    for asked in (Attributes("get", path="/metrics"), Attributes("delete", "g", "things")):
        assert found.allows(User("root", groups=(MASTERS,)), asked)
        assert not found.allows(TENANT, asked)


WORDS = st.sampled_from(["*", "a", "b", "a/x", "*/x"])
RULES = st.builds(
    Rule,
    st.lists(WORDS, min_size=1, max_size=2).map(tuple),
    st.lists(st.sampled_from(["*", "", "g"]), min_size=1, max_size=2).map(tuple),
    st.lists(WORDS, min_size=1, max_size=2).map(tuple),
    st.lists(st.sampled_from(["m", "n"]), max_size=2).map(tuple),
)


@given(st.lists(RULES, max_size=3), RULES, st.data())
def test_who_lacks_nothing_of_a_rule_may_do_all_that_it_allows(
    held: list[Rule], given_away: Rule, data: st.DataObject
) -> None:
    has = grants(
        role("r", *(each.body() for each in held)),
        everywhere=[binding("b", "r", kind="User", name="tenant")],
    )
    if has.lacks(TENANT, [given_away], ""):
        return
    asked = data.draw(
        st.builds(
            Attributes,
            st.sampled_from(["a", "b"]),
            st.sampled_from(["", "g"]),
            st.sampled_from(["a", "b"]),
            st.sampled_from(["", "x"]),
            st.just(""),
            st.sampled_from(["", "m", "n"]),
        )
    )
    if given_away.allows(asked):
        assert has.allows(TENANT, asked), (held, given_away, asked)


def test_what_a_request_asks_for() -> None:
    from weft_lab.apiserver.request import parse_path

    def asked(method: str, path: str, **query: str) -> Attributes:
        return access.attributes(method, path, parse_path(path), query)

    pods = "/api/v1/namespaces/a/pods"
    assert asked("GET", pods).verb == "list"
    assert asked("GET", pods, watch="true").verb == "watch"
    assert asked("GET", pods, fieldSelector="metadata.name=x").name == "x"
    assert asked("DELETE", pods).verb == "deletecollection"
    assert asked("PATCH", f"{pods}/x/status") == Attributes("patch", "", "pods", "status", "a", "x")
    assert asked("GET", "/api/v1/namespaces/a").namespace == "a"
    assert asked("GET", "/version") == Attributes("get", path="/version")
