"""Who a question about flows is about."""

from __future__ import annotations

import pytest

from tests.support.flowed import pod, world
from weft import errors
from weft.observe.flows import subjects
from weft.observe.flows.collect import Question, nodes
from weft.observe.flows.subjects import Subject

MOVING = (
    pod("virt-launcher-vm-x1", 7, "node1", "blue", **{"vm.kubevirt.io/name": "vm"}),
    pod("virt-launcher-vm-x2", 7, "node3", "blue", **{"vm.kubevirt.io/name": "vm"}),
)


def test_a_machine_has_all_its_pods() -> None:
    found = world(pods=MOVING)
    subject = subjects.named("", "vm", "default")
    asked = subjects.question(Question(limit=7), (), subject, found)
    assert asked.pods == ("default/virt-launcher-vm-x1", "default/virt-launcher-vm-x2")
    assert (asked.networks, asked.limit) == (("blue",), 7)
    assert nodes(found, asked) == ["node1", "node2", "node3"]


def test_a_pod_is_asked_about_on_its_networks() -> None:
    found = world()
    subject = subjects.named("default/b", "", "other")
    assert subjects.question(Question(), (), subject, found).networks == ("blue", "red")
    assert subjects.question(Question(), ("red",), subject, found).networks == ("red",)
    assert subjects.question(Question(), ("red",), None, found) == Question(("red",))


@pytest.mark.parametrize(
    ("pod_name", "machine", "networks", "message"),
    [
        ("a", "b", (), '--vm "b": cannot be combined with --pod'),
        ("a/b/c", "", (), '--pod "a/b/c": must be NAME or NAMESPACE/NAME'),
        ("/a", "", (), "must be NAME or NAMESPACE/NAME"),
        ("gone", "", (), "pod default/gone: is not there"),
        ("", "gone", (), "vm default/gone: has no pod that you may list"),
        ("c", "", ("red",), "pod default/c: is on blue only"),
    ],
)
def test_nobody_is_refused_with_the_reason(
    pod_name: str, machine: str, networks: tuple[str, ...], message: str
) -> None:
    def ask() -> None:
        subject = subjects.named(pod_name, machine, "default")
        subjects.question(Question(), networks, subject, world())

    with pytest.raises(errors.WeftError) as refused:
        ask()
    assert message in str(refused.value)


def test_a_subject_is_called_as_users_call_it() -> None:
    assert str(Subject("shop", "db", is_machine=True)) == "vm shop/db"
