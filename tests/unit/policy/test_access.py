"""Who may use a network, and what is said to who may not."""

from __future__ import annotations

from typing import Any

import pytest

from weft import model
from weft.labels import EVERYTHING, Operator, Requirement, Selector
from weft.model import ObjectKey
from weft.policy import access

TRUSTED = Selector((Requirement("tier", Operator.IN, ("trusted",)),))
NAMED_TB = Selector((Requirement("kubernetes.io/metadata.name", Operator.IN, ("tb",)),))
UNTRUSTED = Selector((Requirement("tier", Operator.NOT_IN, ("trusted",)),))
LABELS = {"ta": {}, "tb": {}, "tc": {"tier": "trusted"}, "shared": {}, "default": {}}
RULE = access.AccessRule(frozenset({"default", "shared"}), LABELS.get)


def network(owner: str, **access: Any) -> model.Network:
    spec = model.NetworkSpec("blue", model.Topology.LAYER2, 1300, access=model.Access(**access))
    return model.Network(spec, 1, ObjectKey.parse(owner) if owner else None)


@pytest.mark.parametrize(
    ("owner", "access", "admitted"),
    [
        ("ta/blue", {}, {"ta"}),
        ("ta/blue", {"namespaces": ()}, {"ta"}),
        ("ta/blue", {"namespaces": ("tb",)}, {"ta", "tb"}),
        ("ta/blue", {"selector": TRUSTED}, {"ta", "tc"}),
        ("ta/blue", {"selector": NAMED_TB}, {"ta", "tb"}),
        ("ta/blue", {"namespaces": ("tb",), "selector": TRUSTED}, {"ta", "tb", "tc"}),
        ("ta/blue", {"selector": EVERYTHING}, set(LABELS)),
        ("default/blue", {}, {*LABELS, "unknown"}),
        ("shared/blue", {}, {*LABELS, "unknown"}),
        ("shared/blue", {"namespaces": ("tb",)}, {"shared", "tb"}),
        ("shared/blue", {"namespaces": ()}, {"shared"}),
        ("", {}, {*LABELS, "unknown"}),
    ],
)
def test_whom_an_owner_lets_in(owner: str, access: dict[str, object], admitted: set[str]) -> None:
    made = network(owner, **access)
    assert {each for each in (*LABELS, "unknown") if RULE.admits(made, each)} == admitted


@pytest.mark.parametrize("selector", [UNTRUSTED, EVERYTHING])
def test_a_namespace_that_is_not_known_is_let_in_by_no_selector(selector: Selector) -> None:
    assert not RULE.admits(network("ta/blue", selector=selector), "unknown")


def test_a_namespace_cannot_take_anothers_name_by_a_label() -> None:
    rule = access.AccessRule(labels={"tc": {"kubernetes.io/metadata.name": "tb"}}.get)
    assert not rule.admits(network("ta/blue", selector=NAMED_TB), "tc")


def test_nads_of_global_namespaces_join_anything_and_others_where_they_are_let_in() -> None:
    own = network("ta/blue", namespaces=("tb",))
    joining = (ObjectKey(each, "x") for each in ("ta", "tb", "tc", "default", "shared"))
    assert [RULE.may_join(own, each) for each in joining] == [True, True, False, True, True]


def test_what_is_refused_says_whose_the_network_is_and_who_may_change_that() -> None:
    own = network("ta/blue")
    assert RULE.pod_refusal(own, ObjectKey("ta", "blue"), ObjectKey("tb", "thief")).in_full() == (
        'Pod tb/thief: may not use network "blue" through NetworkAttachmentDefinition ta/blue: it '
        "belongs to namespace ta (NetworkAttachmentDefinition ta/blue), which does not admit "
        'namespace tb (a user with write access in namespace ta can add "tb" to '
        "allowedNamespaces in spec.config of NetworkAttachmentDefinition ta/blue; the pod then "
        "continues)"
    )
    assert RULE.nad_refusal(own, ObjectKey("tb", "mine")) == (
        'NetworkAttachmentDefinition tb/mine: may not declare network "blue": it belongs to '
        "namespace ta (NetworkAttachmentDefinition ta/blue), which does not admit namespace tb "
        '(a user with write access in namespace ta can add "tb" to allowedNamespaces in '
        "spec.config of NetworkAttachmentDefinition ta/blue, or choose another network name)"
    )


def test_who_joins_is_reported_whose_network_it_is() -> None:
    own = network("ta/blue", namespaces=("tb",))
    assert RULE.joined_notice(own, ObjectKey("ta", "also")) == ""
    assert "belongs to namespace ta" in RULE.joined_notice(own, ObjectKey("tb", "x"))
    assert "let it in" not in RULE.joined_notice(own, ObjectKey("tb", "x"))
    assert "does not admit it, so it serves only pods of namespace default" in RULE.joined_notice(
        own, ObjectKey("default", "x")
    )
