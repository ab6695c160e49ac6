"""The sets of policies that labs are tried with: read back as they were meant, and telling."""

from __future__ import annotations

import itertools
from dataclasses import replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from tests.support import policysets, policyworld
from weft.api import policy as api
from weft.policy import evaluator, netpolicy
from weft.policy.netpolicy import Direction

WORLD = policyworld.imagined()
SEEDS = st.integers(0, 2**32)


def pairs(step: policysets.Step) -> set[tuple[str, str, str, netpolicy.Connection]]:
    """All that is allowed, over IPv4."""
    found = set()
    for network in policyworld.INTERFACES:
        for source, target in itertools.permutations(step.world.pods, 2):
            one, other = (step.world.endpoint(pod, network) for pod in (source, target))
            for asked in policysets.ASKED:
                sent = replace(asked, source=one.addresses[0], target=other.addresses[0])
                if evaluator.allowed(step.policies, policyworld.NETWORKS, one, other, sent):
                    found.add((network, source.key, target.key, asked))
    return found


@given(SEEDS, SEEDS)
def test_what_is_written_is_read_as_it_was_meant(seed: int, other: int) -> None:
    made = policysets.policy(Random(seed), WORLD)
    read = api.parse(policysets.write(made, Random(other)))
    assert replace(read, skipped=()) == made


@given(SEEDS)
def test_a_seed_says_all(seed: int) -> None:
    first, second = (list(itertools.islice(policysets.steps(seed, WORLD), 5)) for _ in range(2))
    assert first == second
    for step in first:
        assert len({policy.key for policy in step.policies}) == len(step.policies)


def test_sets_close_some_ways_and_leave_some() -> None:
    total = len(policyworld.INTERFACES) * 7 * 6 * len(policysets.ASKED)
    sizes = [len(pairs(step)) for step in itertools.islice(policysets.steps(1, WORLD), 40)]
    assert sum(0.05 < size / total < 0.95 for size in sizes) > 30, sizes
    assert len(set(sizes)) > 30


def test_every_word_of_the_grammar_comes_up() -> None:
    seen = set()
    for step in itertools.islice(policysets.steps(2, WORLD), 300):
        for policy in step.policies:
            seen |= {policy.mode, policy.directions, len(policy.nads) > 1}
            for direction in Direction:
                for rule in policy.rules(direction):
                    for peer in rule.peers or (None,):
                        for service in rule.ports or (None,):
                            seen |= {(direction, kind(peer)), (direction, form(service))}
    assert seen >= {netpolicy.Mode.AUDIT, netpolicy.Mode.ENFORCE, frozenset(Direction), True}
    kinds = {"anybody", "pods", "namespaces", "both", "block 4", "block 6", "holes 4", "holes 6"}
    forms = {f"{protocol} {how}" for protocol in netpolicy.Protocol for how in FORMS} | {"any"}
    assert seen >= set(itertools.product(Direction, kinds | forms))


FORMS = ("every", "number", "name", "range")


def form(service: netpolicy.PolicyPort | None) -> str:
    if service is None:
        return "any"
    if service.port is None:
        how = "every"
    elif isinstance(service.port, str):
        how = "name"
    else:
        how = "range" if service.end else "number"
    return f"{service.protocol} {how}"


def kind(peer: netpolicy.Peer | None) -> str:
    if peer is None:
        return "anybody"
    if isinstance(peer, netpolicy.IPBlock):
        return f"{'holes' if peer.excepts else 'block'} {peer.subnet.version}"
    if peer.namespace:
        return "pods"
    return "both" if peer.pods.requirements else "namespaces"


@given(SEEDS)
def test_reductions_are_smaller_and_end(seed: int) -> None:
    policies = next(policysets.steps(seed, WORLD)).policies
    while policies:
        sizes = [len(repr(smaller)) for smaller in policysets.reductions(policies)]
        assert max(sizes) < len(repr(policies))
        policies = Random(seed).choice(list(policysets.reductions(policies)))
