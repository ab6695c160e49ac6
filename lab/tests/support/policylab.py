"""A lab of two nodes with the small world in it, its prober, and the trial of one step in it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import pytest
import yaml

from lab.tests.support import labs, orders, pods, probing
from lab.tests.support.inside import prober
from lab.tests.support.labs import LabHouse
from lab.tests.support.probing import Ask, Declared, Plug, Prober
from tests.support import policysets, policyworld
from tests.support.objects import pod
from tests.support.patience import PATIENCE
from tests.support.policysets import Step
from weft import names
from weft.api import podnetworks
from weft.kube import client, resources
from weft.model import ObjectKey
from weft.policy import evaluator
from weft_lab.runtime.toolchain import Toolchain

LAB = "policies"
DEADLINE = 10.0  # until a step is in force; not a limit of speed
MAX_STEPS = 600
_T = TypeVar("_T")


@dataclass
class Small:
    """A lab of two nodes, and its API for as long as `runner` runs."""

    house: LabHouse
    name: str
    kubeconfig: str
    runner: asyncio.Runner
    api: client.Client

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return self.runner.run(work)


@contextlib.contextmanager
def small_lab(name: str, state: Path, toolchain: Toolchain) -> Iterator[Small]:
    with (
        labs.running(name, 2, state, toolchain) as (house, kubeconfig),
        asyncio.Runner() as runner,
    ):
        api = client.Client.from_kubeconfig(kubeconfig)
        runner.run(api.__aenter__())
        try:
            yield Small(house, name, kubeconfig, runner, api)
        finally:
            runner.run(api.__aexit__(None, None, None))


@dataclass
class Trial:
    """One step: what was not as it should be, and how long it took to be in force.

    `stale`: if something passed then that must not, when the switches had forgotten it.
    """

    mistakes: dict[int, str]
    seconds: float = 0.0
    rounds: int = 0
    stale: float = 0.0


@dataclass
class PolicyLab:
    lab: Small
    world: policyworld.World
    prober: Prober
    plugs: list[Plug]

    def __post_init__(self) -> None:
        self.asks = list(probing.asks(self.world, self.plugs, policysets.ASKED))
        self.prober.open(self.plugs)
        self.prober.plan([*self.asks, *probing.seals(self.plugs, MAX_STEPS)])
        self.declared = Declared(self.lab.api, Step(self.world), Random(0))

    def add_pods(self, namespace: str, *pods: tuple[str, str]) -> dict[str, list[str]]:
        """More pods on `flat`, each told by name and node; their addresses. They may be there."""
        return self.lab.run(add_pods(self.lab.api, namespace, pods))

    def expected(self, step: Step) -> frozenset[int]:
        """Places of the asks that the evaluator lets pass."""
        return frozenset(
            index for index, ask in enumerate(self.asks) if self.explain(step, ask).allowed
        )

    def explain(self, step: Step, ask: Ask) -> evaluator.Verdict:
        by_key = {pod.key: pod for pod in step.world.pods}
        source, target = (
            step.world.endpoint(by_key[plug.pod], plug.network)
            for plug in (self.plugs[ask.source], self.plugs[ask.target])
        )
        return evaluator.explain(
            step.policies, policyworld.NETWORKS, source, target, ask.connection
        )

    def become(self, step: Step) -> None:
        """Put a step into force; returns when both nodes let its seal pass."""
        number = self.lab.run(self.declared.become(step))
        first = len(self.asks) + 2 * (number - 1)
        sealed = frozenset((first, first + 1))
        end = time.monotonic() + PATIENCE
        while self.prober.round(sorted(sealed)).answered != sealed:
            assert time.monotonic() < end, "a change of policies and labels is not in force"

    def trial(self, step: Step) -> Trial:
        """Put it into force and compare every ask with the evaluator.

        What is allowed and is lost is asked again until the deadline, as a busy machine loses
        packets. What passes and must not is asked again once, when both switches have looked at all
        that they remember: until then one may go by what it knows of connections just like it.
        """
        start = time.monotonic()
        self.become(step)
        sealed = time.monotonic()
        made = Trial({}, sealed - start)
        expected = self.expected(step)
        again = frozenset(range(len(self.asks)))
        end = sealed + DEADLINE
        while True:
            seen = self.prober.round(sorted(again))
            made.rounds += 1
            wrong = (seen.arrived | seen.answered) - expected
            again = wrong | (expected & again - seen.answered)
            odd = dict.fromkeys(seen.stray, "comes to somebody else")
            odd |= {index: "comes late" for _, index in seen.late}
            if wrong and not (odd or made.stale):
                self.forget_flows()
                made.stale = time.monotonic() - sealed
                end += made.stale  # in which nothing was asked
                continue
            if odd or wrong or not again or time.monotonic() > end:
                break
        for index in again:
            mistake = "is not answered" if index in seen.arrived else "does not pass"
            made.mistakes[index] = mistake if index in expected else "passes"
        made.mistakes |= odd
        return made

    def forget_flows(self) -> None:
        """Returns when both switches have judged anew every flow that they remember.

        vswitchd answers when the sweep that is under way ends; the next one began after this.
        """
        for node in ("node1", "node2"):
            for _ in range(2):
                self.lab.house.run(node, "ovs-appctl", "revalidator/wait")

    def report(self, step: Step, trial: Trial) -> str:
        """What a person needs to see of a mistake: who, what, why, and the policies."""
        lines = []
        for index, what in itertools.islice(sorted(trial.mistakes.items()), 12):
            ask = self.asks[index]
            source, target = self.plugs[ask.source], self.plugs[ask.target]
            asked = ask.connection
            lines.append(
                f"{source.network}: {source.pod} {asked.source} -> {target.pod} {asked.target} "
                f"{asked.protocol or 'ICMP'} {asked.port} {what}; {_why(self.explain(step, ask))}"
            )
        labels = {pod.key: dict(pod.labels) for pod in step.world.pods}
        spaces = {name: dict(each) for name, each in step.world.namespaces.items()}
        written = [policysets.write(policy, Random(0)) for policy in step.policies]
        manifests = yaml.safe_dump_all(
            [{"pods": labels, "namespaces": spaces}, *written], sort_keys=False
        )
        return f"{len(trial.mistakes)} mistakes\n" + "\n".join(lines) + f"\n{manifests}"

    def reduce(self, step: Step, deadline: float = 60.0) -> tuple[Step, Trial]:
        """The smallest step that still goes wrong when it follows upon no policies."""
        end = time.monotonic() + deadline
        found, trial = step, self._alone(step)
        shrinking = bool(trial.mistakes)
        while shrinking:
            shrinking = False
            for policies in policysets.reductions(found.policies):
                if time.monotonic() > end:
                    break
                smaller = replace(found, policies=policies)
                tried = self._alone(smaller)
                if tried.mistakes:
                    found, trial, shrinking = smaller, tried, True
                    break
        return found, trial

    def _alone(self, step: Step) -> Trial:
        self.become(replace(step, policies=()))
        return self.trial(step)


def _why(verdict: evaluator.Verdict) -> str:
    ends = []
    for judgement in (verdict.egress, verdict.ingress):
        by = ", ".join(str(policy.key) for policy in judgement.isolating) or "nobody"
        rules = ", ".join(f"{policy.key} rule {rule.index}" for policy, rule in judgement.allowing)
        ends.append(f"{judgement.direction} isolated by {by}, allowed by {rules or 'nothing'}")
    return "; ".join(ends)


async def populate(api: client.Client) -> Mapping[str, Any]:
    """Make the world; its pods by key when all are ready.

    One after the other has its addresses, so that they are the same each time.
    """
    kinds = {res.kind: res for res in resources.ALL}
    everybody = (*policyworld.PODS, *policyworld.SEALED)
    async with pods.following(api, resources.PODS, namespace="") as there:
        for obj in policyworld.manifests():
            await api.create(kinds[obj["kind"]], obj)
            if obj["kind"] == "Pod":
                await there.wait_for(resources.key(obj), _is_allocated, PATIENCE)
        return {
            pod.key: await there.wait_for(ObjectKey.parse(pod.key), pods.is_ready, PATIENCE)
            for pod in everybody
        }


async def add_pods(
    api: client.Client, namespace: str, made: Iterable[tuple[str, str]]
) -> dict[str, list[str]]:
    """Each has its name as a label."""
    found = {}
    objects: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    ]
    for name, node in made:
        obj = pod(name, networks="red/flat", nodeName=node, terminationGracePeriodSeconds=0)
        obj["metadata"] |= {"namespace": namespace, "labels": {"name": name}}
        objects.append(obj)
    async with pods.following(api, resources.PODS, namespace=namespace) as there:
        for obj in objects:
            with contextlib.suppress(client.AlreadyExists):
                res = resources.PODS if obj["kind"] == "Pod" else resources.NAMESPACES
                await api.create(res, obj)
        for obj in objects[1:]:
            ready = await there.wait_for(resources.key(obj), pods.is_ready, PATIENCE)
            (own,) = podnetworks.parse(ready).values()
            found[obj["metadata"]["name"]] = [str(each.ip) for each in own.addresses]
    return found


def _is_allocated(pod: Mapping[str, Any]) -> bool:
    decided = json.loads(pod["metadata"]["annotations"].get(names.POD_NETWORKS, "{}"))
    wanted = pod["metadata"]["annotations"][names.NETWORKS].split(",")
    return all(key in decided for key in wanted)


@pytest.fixture(scope="module")
def policy_lab(
    tmp_path_factory: pytest.TempPathFactory, toolchain: Toolchain
) -> Iterator[PolicyLab]:
    """No policy is in force in it yet."""
    with small_lab(LAB, tmp_path_factory.mktemp(LAB), toolchain) as lab:
        world = policyworld.read(lab.run(populate(lab.api)))
        with orders.obeying(LAB, prober.__name__) as order:
            yield PolicyLab(lab, world, Prober(order), probing.plugs(world))
