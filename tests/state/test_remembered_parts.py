"""Pages are made of parts of the last one, and are never other than those that are made anew."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.support import consoled
from tests.support import objects as made
from tests.unit.observe import test_machines as machines
from tests.unit.observe.test_members import entry, nad, pod
from weft import names
from weft.console import pages
from weft.console.page import Question, Reading
from weft.console.views import Views
from weft.kube import resources
from weft.observe.remembered import Kept

STEPS = 40
Cluster = dict[Any, dict[str, dict[str, Any]]]
"""Objects by kind and name."""


def named(number: int) -> str:
    """Not alike, so that each has a card of its own; but for the last four."""
    return f"{chr(ord('a') + number)}-pod" if number < 12 else f"pod{number}"


def member(number: int) -> dict[str, Any]:
    network = ("blue", "red")[number % 2]
    held = {f"default/{network}": entry(number + 1, f"10.9.0.{number + 1}/24")}
    if not number % 3:
        held["default/green"] = entry(number + 50, f"10.8.0.{number + 1}/24")
    joined = ", ".join(key.rpartition("/")[2] for key in held)
    return pod(named(number), joined, held, labels={"app": f"a{number % 4}"})


def cluster() -> Cluster:
    listed: Mapping[Any, list[Any]] = {
        resources.NADS: [nad(each, each) for each in ("blue", "red", "green")],
        resources.NAMESPACES: [made.namespace("default")],
        resources.PODS: [*(member(each) for each in range(12)), machines.launcher("db")],
        resources.NODES: [made.node("node1")],
        resources.MULTINETWORKPOLICIES: [
            made.policy("first", "default/blue", app="a1", ingress=[])
        ],
        resources.NETWORKS: [
            {**made.named(resources.NETWORKS, "blue-1"), "status": {"network": "blue"}}
        ],
    }
    return {
        kind: {each["metadata"]["name"]: Kept(each) for each in found}
        for kind, found in listed.items()
    }


def edit(found: Cluster, kind: Any, name: str, change: Callable[[Any], None]) -> None:
    """As a watch does: another object takes the place of the old one."""
    new = copy.deepcopy(dict(found[kind][name]))
    change(new)
    found[kind][name] = Kept(new)


def relabel(found: Cluster, at: random.Random) -> None:
    name = at.choice(sorted(found[resources.PODS]))
    labels = {"app": f"a{at.randrange(4)}", "news": str(at.randrange(9))}
    edit(found, resources.PODS, name, lambda one: one["metadata"].update(labels=labels))


def move(found: Cluster, at: random.Random) -> None:
    name, node = at.choice(sorted(found[resources.PODS])), f"node{at.randrange(3)}"
    edit(found, resources.PODS, name, lambda one: one.setdefault("spec", {}).update(nodeName=node))


def end(found: Cluster, at: random.Random) -> None:
    name = at.choice(sorted(found[resources.PODS]))
    phase = at.choice(("Running", "Succeeded"))
    edit(found, resources.PODS, name, lambda one: one.update(status={"phase": phase}))


def come_or_go(found: Cluster, at: random.Random) -> None:
    number = at.randrange(16)
    if found[resources.PODS].pop(named(number), None) is None:
        found[resources.PODS][named(number)] = Kept(member(number))


def close(found: Cluster, at: random.Random) -> None:
    name = f"more{at.randrange(3)}"
    network = at.choice(("blue", "red", "green"))
    tier = {"namespaceSelector": {"matchLabels": {"tier": str(at.randrange(3))}}}
    ingress = at.choice(([], [{"from": [tier]}]))
    if found[resources.MULTINETWORKPOLICIES].pop(name, None) is None:
        one = made.policy(name, f"default/{network}", app=f"a{at.randrange(4)}", ingress=ingress)
        found[resources.MULTINETWORKPOLICIES][name] = Kept(one)


def refuse(found: Cluster, at: random.Random) -> None:
    """A declaration is not accepted, or again, or one of another network."""
    name = at.choice(("blue", "red", "green"))
    network = at.choice((name, name, "green", ""))
    notes = {names.NETWORK_NAME: network} if network else {}
    edit(found, resources.NADS, name, lambda one: one["metadata"].update(annotations=notes))


def name_space(found: Cluster, at: random.Random) -> None:
    labels = {"tier": str(at.randrange(3))}
    edit(found, resources.NAMESPACES, "default", lambda one: one["metadata"].update(labels=labels))


def judge(found: Cluster, at: random.Random) -> None:
    reason = {"status": "False", "reason": f"Bad{at.randrange(2)}", "message": "is bad"}
    conditions = [reason] if at.random() < 0.5 else []
    edit(
        *(found, resources.NETWORKS, "blue-1"),
        lambda one: one["status"].update(conditions=conditions),
    )


def report(found: Cluster, at: random.Random) -> None:
    """A guest's agent says which addresses it has."""
    seen = {**machines.report(f"10.9.0.{at.randrange(1, 5)}"), "infoSource": "guest-agent"}
    one = {**made.named(resources.VMIS, "db"), "status": {"interfaces": [seen]}}
    found.setdefault(resources.VMIS, {})["db"] = Kept(one)


CHANGES = (relabel, move, end, come_or_go, close, refuse, name_space, judge, report)
ASKED = (
    ("topology", consoled.asked()),
    ("topology", consoled.asked({"network": "blue"})),
    ("matrix", consoled.asked({"network": "blue"})),
    ("matrix", consoled.asked({"network": "red", "port": "tcp/80"})),
)


@pytest.mark.parametrize("seed", range(4))
def test_no_page_is_other_than_one_that_is_made_anew(seed: int) -> None:
    found, at, known = cluster(), random.Random(seed), Views()
    by_name = {page.name: page for page in pages.listed()}
    seen: set[str] = set()

    def shown(views: Views, name: str, asked: Question, objects: Any, version: int) -> object:
        read = Reading({kind: tuple(each) for kind, each in objects.items()}, versions=(version,))
        return views.of(by_name[name], read, asked)

    for step in range(STEPS):
        at.choice(CHANGES)(found, at)
        kept = {kind: [each[name] for name in sorted(each)] for kind, each in found.items()}
        plain = {kind: [copy.deepcopy(dict(one)) for one in each] for kind, each in kept.items()}
        for name, asked in ASKED:
            fresh = shown(Views(), name, asked, plain, step)
            assert shown(known, name, asked, kept, step) == fresh, (seed, step, name)
            seen.add(repr(fresh))
    assert len(seen) > STEPS // 3, "pages change at all"
