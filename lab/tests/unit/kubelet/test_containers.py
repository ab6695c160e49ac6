"""Which container starts when."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft_lab.kubelet import containers
from weft_lab.kubelet.containers import Start, State, Wait


def pod(policy: str = "Always", *, first: int = 0, main: int = 1) -> dict[str, Any]:
    return {
        "metadata": {"name": "web", "namespace": "ns", "labels": {"app": "x"}},
        "spec": {
            "restartPolicy": policy,
            "nodeName": "node1",
            "initContainers": [{"name": f"i{n}"} for n in range(first)],
            "containers": [{"name": f"c{n}"} for n in range(main)],
        },
    }


def names(steps: list[Start | Wait]) -> list[tuple[str, int]]:
    return [(s.container["name"], s.attempt) for s in steps if isinstance(s, Start)]


def test_init_containers_go_one_by_one() -> None:
    made = pod(first=2)
    running, done = State(0, 1.0), State(0, 1.0, 0, 2.0)
    assert names(containers.due(made, {}, 0)) == [("i0", 0)]
    assert names(containers.due(made, {"i0": running}, 5)) == []
    assert names(containers.due(made, {"i0": done}, 5)) == [("i1", 0)]
    assert names(containers.due(made, {"i0": done, "i1": done}, 5)) == [("c0", 0)]


@pytest.mark.parametrize(
    ("policy", "status", "again"),
    [
        ("Always", 0, True),
        ("Always", 1, True),
        ("OnFailure", 0, False),
        ("OnFailure", 1, True),
        ("Never", 0, False),
        ("Never", 1, False),
    ],
)
def test_restart_policy(policy: str, status: int, again: bool) -> None:
    made, state = pod(policy), {"c0": State(0, 1.0, status, 2.0)}
    assert bool(containers.due(made, state, 2.0)) == again
    assert containers.is_finished(made, state) == (not again)


def test_an_init_container_that_fails_for_good_ends_the_pod() -> None:
    failed = {"i0": State(0, 1.0, 1, 2.0)}
    assert containers.is_finished(pod("Never", first=1), failed)
    assert not containers.is_finished(pod("OnFailure", first=1), failed)


@given(attempt=st.integers(1, 40), ran=st.floats(0, 500))
def test_backoff_grows_to_its_bound(attempt: int, ran: float) -> None:
    def state(n: int) -> State:
        return State(n, 0.0, 1, ran)

    wait = containers.backoff(state(attempt))
    assert containers.FIRST_BACKOFF <= wait <= containers.LONGEST_BACKOFF
    assert wait <= containers.backoff(state(attempt + 1))


def test_a_crash_waits_and_then_starts() -> None:
    state = {"c0": State(2, 0.0, 1, 100.0)}
    assert containers.due(pod(), state, 100.0) == [Wait(120.0)]
    assert names(containers.due(pod(), state, 120.0)) == [("c0", 3)]


def test_environment() -> None:
    container = {
        "env": [
            {"name": "A", "value": "1"},
            {"name": "B", "value": "$(A)-$(NONE)-$$(A)-$"},
            {"name": "P", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "L", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
            {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        ]
    }
    env = containers.environment(container, pod(), {"PATH": "/bin"})
    assert env == {
        "PATH": "/bin", "A": "1", "B": "1-$(NONE)-$(A)-$", "P": "web", "L": "x", "S": "",
    }  # fmt: skip
