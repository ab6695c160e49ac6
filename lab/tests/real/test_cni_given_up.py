"""An ADD that is cancelled at any moment, or whose agent is killed, leaves nothing behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from lab.tests.support import cni
from lab.tests.support.cni import BLUE, Runtime
from weft.kube import resources

pytestmark = pytest.mark.real
NOTHING: dict[str, list[str]] = {"ports": [], "devices": []}


@pytest.fixture(scope="module")
def network(cni_lab: Any) -> Any:
    with cni.runtime(cni_lab, "internal") as made:
        made.api(lambda api: api.create(resources.NADS, cni.nad_object(BLUE)))
    return cni_lab


@pytest.fixture
def clean(network: Any, request: pytest.FixtureRequest) -> Iterator[Runtime]:
    with cni.runtime(network, request.param) as made:
        assert made.left() == NOTHING
        yield made


KINDS = pytest.mark.parametrize("clean", ["internal", "veth"], indirect=True)


@KINDS
@pytest.mark.parametrize("again", [False, True], ids=["once", "again and again"])
def test_an_add_that_is_cancelled_anywhere_leaves_nothing(clean: Runtime, again: bool) -> None:
    pod = clean.pod()
    found = clean.order("cancelled", env=variables(pod), data=json.dumps(BLUE), again=again)
    assert found["cancelled"] >= 3
    assert found["left"] == []
    assert clean.call("DEL", pod)["status"] == 0
    assert clean.left() == NOTHING


def variables(pod: cni.Pod) -> dict[str, str]:
    return {
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": pod.sandbox,
        "CNI_NETNS": f"/run/netns/{pod.sandbox}",
        "CNI_IFNAME": "net1",
        "CNI_ARGS": pod.args,
    }


@pytest.mark.parametrize(
    ("kind", "step"),
    [("veth", "make_veth"), ("veth", "write_port"), ("internal", "write_port")],
)
def test_an_agent_that_is_killed_in_an_add_leaves_nothing_to_the_next(
    network: Any, kind: str, step: str
) -> None:
    with cni.runtime(network, kind) as dying:
        pod = dying.pod()
        dying.order("spoil", step=step, kill=True)
        with pytest.raises(json.JSONDecodeError):  # it says nothing any more
            dying.call("ADD", pod)
    with cni.runtime(network, kind) as heir:
        if (kind, step) == ("veth", "write_port"):
            # The pod has a whole interface: only its runtime knows that the ADD failed.
            assert heir.call("DEL", pod)["status"] == 0
        heir.order("settled")
        assert heir.left() == NOTHING
        assert heir.call("ADD", pod)["status"] == 0
        assert heir.call("DEL", pod)["status"] == 0
