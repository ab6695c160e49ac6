"""Matrices for tests: members by name, and what was expected and seen of each pair."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from ipaddress import ip_address

from weft.observe import reach
from weft.observe.reach import Matrix, Member, ProbeResult
from weft.policy import netpolicy

PING = netpolicy.Connection(None)


def member(
    name: str,
    *addresses: str,
    namespace: str = "default",
    labels: Mapping[str, str] | None = None,
    machine: str = "",
    interface: str = "net1",
) -> Member:
    endpoint = netpolicy.Endpoint(
        namespace=namespace,
        pod=name,
        labels=dict(labels or {}),
        namespace_labels={},
        network="blue",
        addresses=tuple(ip_address(address) for address in addresses),
        named_ports={},
    )
    return Member(f"{namespace}/{name}", "node1", interface, "0a:58:00:00:00:01", endpoint, machine)


def matrix(
    members: Iterable[Member],
    expected: Callable[[str, str], bool] = lambda source, target: True,
    seen: Callable[[str, str], ProbeResult] | None = None,
    question: netpolicy.Connection = PING,
) -> Matrix:
    """`expected` and `seen` are asked of each pair of ids."""
    made = reach.expect("blue", members, (), {}, question)
    results = (replace(one, expected=expected(one.source, one.target)) for one in made.results)
    made = replace(made, results=tuple(results))
    if seen is None:
        return made
    pairs = {(one.source, one.target): seen(one.source, one.target) for one in made.results}
    return reach.measured(made, pairs)
