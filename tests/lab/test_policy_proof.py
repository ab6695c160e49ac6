"""What a lab enforces is what the policies say: real packets beside the reference, set by set."""

from __future__ import annotations

import itertools
import os

import pytest

from tests.support import policysets
from tests.support.policylab import PolicyLab
from tests.support.policysets import Step

pytestmark = pytest.mark.lab
# Another seed tries other sets; a failure says which one it was.
SEED = int(os.environ.get("WEFT_POLICY_SEED", "1"))
SETS = int(os.environ.get("WEFT_POLICY_SETS", "220"))


def test_without_policies_all_reach_all(policy_lab: PolicyLab) -> None:
    everything = frozenset(range(len(policy_lab.asks)))
    assert policy_lab.expected(Step(policy_lab.world)) == everything
    seen = policy_lab.prober.round(sorted(everything))
    assert (seen.arrived, seen.answered, seen.stray) == (everything, everything, ())


def test_sets_of_policies_by_chance(policy_lab: PolicyLab) -> None:
    steps = policysets.steps(SEED, policy_lab.world)
    before = Step(policy_lab.world)
    for number, step in enumerate(itertools.islice(steps, SETS)):
        trial = policy_lab.trial(step)
        if trial.mistakes:
            said = policy_lab.report(step, trial)
            smallest = policy_lab.report(*policy_lab.reduce(step))
            pytest.fail(
                f"seed {SEED}, set {number}: {said}\n"
                f"upon {[policy.key for policy in before.policies]}\n"
                f"alone and reduced: {smallest}"
            )
        before = step
