"""The matrix page: what policies make of a network's members."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import consoled
from tests.support import objects as made
from tests.unit.observe.test_members import entry, nad, pod
from weft.console.page import Reading
from weft.console.pages import matrix
from weft.kube import resources
from weft.observe import reach


def objects(*policies: Any) -> dict[Any, list[Any]]:
    held = {number: {"default/blue": entry(number, f"10.9.0.{number}/24")} for number in (1, 2)}
    pods = [pod(name, "blue", held[n], labels={"app": name}) for n, name in ((1, "a"), (2, "b"))]
    return {
        resources.NADS: [nad("blue", "blue")],
        resources.NAMESPACES: [{"metadata": {"name": "default"}}],
        resources.PODS: pods,
        resources.MULTINETWORKPOLICIES: list(policies),
    }


def signs(shown: matrix.Shown) -> list[str]:
    assert shown.grid is not None, shown.problem
    return [cell.style for row in shown.grid.rows for cell in row]


def test_the_only_network_is_chosen_and_without_policies_all_connect() -> None:
    shown = matrix.view(consoled.read(objects()), consoled.asked())
    assert shown.network == "blue"
    assert signs(shown) == ["", "good", "good", ""]


@pytest.mark.parametrize(
    "lack",
    [
        {"denied": {resources.MULTINETWORKPOLICIES: "may not"}},
        {"stale": {resources.MULTINETWORKPOLICIES: "no answer"}},
        {"left_out": {resources.MULTINETWORKPOLICIES: 3}},
        {"left_out": {resources.NAMESPACES: 3}},
    ],
)
def test_nothing_is_said_of_who_connects_without_the_policies(lack: dict[str, Any]) -> None:
    found = Reading(consoled.read(objects()).objects, **lack)
    shown = matrix.view(found, consoled.asked())
    assert shown.grid is None
    assert "policies are missing" in shown.problem


def test_policies_that_were_read_before_the_server_was_lost_count() -> None:
    closed = made.policy(app="b", ingress=[], networks="default/blue")
    lost = {resources.MULTINETWORKPOLICIES: "no answer"}
    found = Reading(consoled.read(objects(closed)).objects, stale=lost)
    assert "silent" in signs(matrix.view(found, consoled.asked({"port": "tcp/80"})))


def test_a_policy_closes_a_cell_and_gives_the_reason() -> None:
    closed = made.policy(app="b", ingress=[], networks="default/blue")
    shown = matrix.view(consoled.read(objects(closed)), consoled.asked({"port": "tcp/80"}))
    assert signs(shown) == ["", "silent", "good", ""]
    assert shown.grid is not None
    assert "no rule of" in shown.grid.rows[0][1].reason
    assert "1 of 2 pairs may connect" in shown.grid.summary


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ({"network": "red"}, "is no network that you may see"),
        ({"port": "tcp/0"}, "must be tcp, udp or sctp"),
        ({"port": "<b>"}, "must be tcp, udp or sctp"),
    ],
)
def test_a_query_that_cannot_be_answered(query: dict[str, str], problem: str) -> None:
    shown = matrix.view(consoled.read(objects()), consoled.asked(query))
    assert shown.grid is None
    assert problem in shown.problem


def test_several_networks_are_chosen_from() -> None:
    two = {**objects(), resources.NADS: [nad("blue", "blue"), nad("red", "red")]}
    shown = matrix.view(consoled.read(two), consoled.asked())
    assert (shown.networks, shown.network, shown.grid) == (("blue", "red"), "", None)


def test_more_members_than_a_page_holds_are_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "MOST_MEMBERS", 1)
    monkeypatch.setattr(reach, "expect", None)  # is not called
    read = consoled.read(objects())
    shown = matrix.view(read, consoled.asked())
    assert shown.grid is None
    assert len(read.memo) == 0, "nothing is kept for a grid that is not there"
    assert "has 2 members" in shown.problem
    assert "choose a namespace" in shown.problem
    assert "weft matrix blue" in shown.problem


@pytest.mark.parametrize("is_accepted", [True, False])
def test_a_network_that_another_namespace_declares_is_there_for_its_pods(is_accepted: bool) -> None:
    declared = [{"name": "default/blue", "accepted": is_accepted}]
    unused = [{"name": "default/red", "accepted": True}]
    networks = [
        {"metadata": {"name": name}, "status": {"network": name, _DECLARED: nads}}
        for name, nads in (("blue", declared), ("red", unused))
    ]
    of_shop = {**objects(), resources.NADS: [], resources.NETWORKS: networks}
    shown = matrix.view(consoled.read(of_shop), consoled.asked(namespace="shop"))
    assert shown.networks == (("blue",) if is_accepted else ())
    assert (shown.grid is not None) is is_accepted


_DECLARED = "networkAttachmentDefinitions"
