"""What a lab enforces is what the policies say: real packets beside the reference, set by set."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from lab.tests.support import orders
from lab.tests.support.inside import talks as program
from lab.tests.support.policylab import LAB, PolicyLab, Trial
from tests.support import policysets
from tests.support.policysets import Step
from weft.model import ObjectKey
from weft.policy import netpolicy
from weft.policy.netpolicy import Direction, PodSelector, PolicyPort, Protocol, Rule

pytestmark = pytest.mark.lab
# Another seed tries other sets; a failure says which one it was.
SEED = int(os.environ.get("WEFT_POLICY_SEED", "1"))
SETS = int(os.environ.get("WEFT_POLICY_SETS", "220"))


def test_without_policies_all_reach_all(policy_lab: PolicyLab) -> None:
    step = Step(policy_lab.world)
    assert policy_lab.expected(step) == frozenset(range(len(policy_lab.asks)))
    # Not one round: where no flow is known yet, a burst outruns the switches and some is lost.
    trial = policy_lab.trial(step)
    assert not trial.mistakes, policy_lab.report(step, trial)


def test_sets_of_policies_by_chance(policy_lab: PolicyLab) -> None:
    steps = policysets.steps(SEED, policy_lab.world)
    before = Step(policy_lab.world)
    seen: list[Trial] = []
    for number, step in enumerate(itertools.islice(steps, SETS)):
        trial = policy_lab.trial(step)
        seen.append(trial)
        if trial.mistakes:
            report = policy_lab.report(step, trial)
            smallest = policy_lab.report(*policy_lab.reduce(step))
            pytest.fail(
                f"seed {SEED}, set {number}: {report}\n"
                f"upon {[policy.key for policy in before.policies]}\n"
                f"alone and reduced: {smallest}"
            )
        before = step
    times = sorted(trial.seconds for trial in seen)
    stale = sorted(trial.stale for trial in seen)
    print(
        f"{SETS} sets of seed {SEED}, {SETS * len(policy_lab.asks)} connections: in force after "
        f"{times[SETS // 2]:.3f} s (longest {times[-1]:.3f}), {sum(map(bool, stale))} with flows "
        f"remembered for a moment (for certain none after {stale[-1]:.3f} s)"
    )


@dataclass
class Talkers:
    """Two pods on `flat` of two nodes, whose kernels talk; all others have none that answers."""

    lab: PolicyLab
    order: orders.Orders
    addresses: dict[str, list[str]]

    def meet(
        self, protocol: str, client: str, server: str, port: int, *, version: int = 4, wait: float
    ) -> int | None:
        """The connection's number, None if it does not come about."""
        ends = {"client": f"talk/{client}", "server": f"talk/{server}"}
        address = self.addresses[server][version == 6]
        made = self.order("meet", protocol=protocol, **ends, address=address, port=port, wait=wait)
        return None if made is None else int(made)

    def is_received(self, talk: int | None, by: str, wait: float) -> bool:
        return bool(self.order("say", talk=talk, by=by, wait=wait))

    def both_speak(self, talk: int | None) -> bool:
        return all(self.is_received(talk, by, LONG) for by in ("client", "server"))

    def guard(self, *policies: netpolicy.Policy) -> None:
        """What passes from then on passes by these, not by what a switch remembers."""
        self.lab.become(Step(self.lab.declared.step.world, policies))
        if policies:
            self.lab.forget_flows()


@pytest.fixture(scope="module")
def talkers(policy_lab: PolicyLab) -> Iterator[Talkers]:
    addresses = policy_lab.add_pods("talk", ("t1", "node1"), ("t2", "node2"))
    with orders.obeying(LAB, program.__name__) as order:
        made = Talkers(policy_lab, order, addresses)
        made.guard()
        yield made
        made.guard()


# Until what is allowed comes, and until it is clear that what is not does not.
LONG, SHORT = 20.0, 0.5
PORTS = itertools.count(7000)
FIRST = netpolicy.Selector((netpolicy.Requirement("name", netpolicy.Operator.IN, ("t1",)),))
SECOND = netpolicy.Selector((netpolicy.Requirement("name", netpolicy.Operator.IN, ("t2",)),))


def isolating(direction: Direction, *rules: Rule) -> netpolicy.Policy:
    """Guards the first of them."""
    return netpolicy.Policy(
        "talk",
        "guard",
        "",
        (ObjectKey("red", "flat"),),
        FIRST,
        frozenset({direction}),
        ingress=rules if direction is Direction.INGRESS else (),
        egress=rules if direction is Direction.EGRESS else (),
    )


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
@pytest.mark.parametrize("direction", list(Direction))
def test_isolation_in_one_direction_breaks_no_reply_in_the_other(
    talkers: Talkers, direction: Direction, protocol: str, version: int
) -> None:
    talkers.guard(isolating(direction))
    inwards, outwards = ("t2", "t1"), ("t1", "t2")
    closed, free = (inwards, outwards) if direction is Direction.INGRESS else (outwards, inwards)
    assert talkers.both_speak(
        talkers.meet(protocol, *free, next(PORTS), version=version, wait=LONG)
    )
    shut = talkers.meet(protocol, *closed, next(PORTS), version=version, wait=SHORT)
    assert shut is None


@pytest.mark.parametrize("direction", list(Direction))
def test_a_new_policy_ends_connections_that_it_does_not_allow(
    talkers: Talkers, direction: Direction
) -> None:
    """Kubernetes leaves it open what becomes of them. Here they are judged anew: both ways, also
    where only the server speaks, and they go on when they are allowed again."""
    ends = ("t2", "t1") if direction is Direction.INGRESS else ("t1", "t2")
    kept, lost = next(PORTS), next(PORTS)
    talks = {
        (protocol, port): talkers.meet(protocol.value, *ends, port, wait=LONG)
        for protocol in (Protocol.TCP, Protocol.UDP)
        for port in (kept, lost)
    }
    assert all(map(talkers.both_speak, talks.values()))
    services = tuple(PolicyPort(protocol, kept) for protocol in (Protocol.TCP, Protocol.UDP))
    members = PodSelector(namespace="talk", pods=SECOND)
    talkers.guard(isolating(direction, Rule(0, (members,), services)))
    for (protocol, port), talk in talks.items():
        if port == kept:
            assert talkers.both_speak(talk), protocol
        else:
            assert not talkers.is_received(talk, "client", SHORT), protocol
            assert not talkers.is_received(talk, "server", SHORT), protocol
    talkers.guard()
    for (protocol, _), talk in talks.items():
        assert talkers.is_received(talk, "client", LONG), protocol
