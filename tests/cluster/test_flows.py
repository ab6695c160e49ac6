"""`weft flows` and `weft policy suggest` on stock Kubernetes: nodes asked by `kubectl exec`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.cluster.cluster import PATIENCE, until
from tests.cluster.room import Room, policy_for
from weft import names

pytestmark = pytest.mark.cluster
NETWORK = "flowing"


class Ended(NamedTuple):
    """A command that has ended: what it printed, and what it complained of."""

    output: str
    complaints: str


def started(room: Room, *arguments: str) -> subprocess.Popen[str]:
    """A command of weft outside of the cluster, with kubectl on the PATH."""
    programs = str(Path(room.access.program).parent)
    return subprocess.Popen(
        [sys.executable, "-m", "weft", *arguments],
        env={
            **os.environ,
            "KUBECONFIG": str(room.access.kubeconfig),
            "PATH": f"{programs}:{os.environ['PATH']}",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def weft(room: Room, *arguments: str) -> Ended:
    with started(room, *arguments) as running:
        ended = Ended(*running.communicate(timeout=PATIENCE))
    assert running.returncode == 0, ended
    return ended


class Flow(NamedTuple):
    source: str
    target: str
    service: str
    verdict: str
    policies: tuple[str, ...]


def flows(room: Room, *arguments: str) -> list[Flow]:
    """The TCP flows that it lists."""
    found = json.loads(weft(room, "flows", *arguments, "-o", "json").output)
    return [read(each) for each in found["flows"] if each["protocol"] == "TCP"]


def read(one: dict[str, Any]) -> Flow:
    """A switch need not look at the port of what is denied on all ports: it is left out there."""
    source, target = (str(one[end]["name"]) for end in ("source", "target"))
    policies = sorted(each["name"] for each in one["policies"])
    is_denied = one["verdict"] == "denied"
    service = one["protocol"] if is_denied else f"{one['protocol']}/{one['port']}"
    return Flow(source, target, service, one["verdict"], tuple(policies))


def opens(room: Room, source: str, port: int) -> bool:
    """Whether a TCP connection to the server comes about."""
    script = f"nc -w 3 {room.addresses('server')[0]} {port} </dev/null >/dev/null 2>&1; echo $?"
    return room.inside(source, "sh", "-c", script).split()[-1] == "0"


@contextmanager
def connecting(room: Room, source: str, port: int) -> Iterator[None]:
    """Connections to the server, one after the other, for as long as the scope lasts."""
    once = f"nc -w 2 {room.addresses('server')[0]} {port} </dev/null"
    script = f"while :; do {once}; sleep 0.2; done >/dev/null 2>&1 & echo $!"
    number = room.inside(source, "sh", "-c", script).strip()
    try:
        yield
    finally:
        room.inside(source, "kill", number)


@pytest.fixture(scope="module")
def pods(here: Room) -> Iterator[Room]:
    """`server` on one node, with ports 80 and 81 open; `client` and `stranger` on another."""
    nodes = here.access.nodes()
    placed = {"client": nodes[0], "stranger": nodes[0], "server": nodes[-1]}
    here.apply(here.nad(NETWORK, "10.98.0.0/24"))
    here.run(
        *(here.pod(name, NETWORK, node=node, labels={"app": name}) for name, node in placed.items())
    )
    here.inside("server", "sh", "-c", "mkdir -p /www; for port in 80 81; do httpd -p $port; done")
    for name in ("client", "stranger"):
        here.answers(name, here.addresses("server")[0])
    yield here
    here.delete(*placed)


def suggested(room: Room) -> tuple[str, dict[str, Any]]:
    """What it prints while the client asks the server, and for whom it admits what: None, if it
    only reports yet."""
    with connecting(room, "client", 80):
        text = weft(room, "policy", "suggest", f"--network={NETWORK}").output
    made = [each for each in yaml.safe_load_all(text) if each]
    if any(each["metadata"]["annotations"].get(names.POLICY_MODE) == "audit" for each in made):
        return text, {}
    admitted = {
        each["spec"]["podSelector"]["matchLabels"]["app"]: [
            (peer["podSelector"]["matchLabels"]["app"], port["protocol"], port["port"])
            for way, peers in (("ingress", "from"), ("egress", "to"))
            for rule in each["spec"].get(way, ())
            for peer in rule[peers]
            for port in rule["ports"]
        ]
        for each in made
    }
    return text, admitted


# The first test: the tracker remembers connections of the others for a while.
def test_a_suggested_policy_admits_what_was_seen_and_nothing_else(pods: Room) -> None:
    """It is suggested twice: without a policy the switch looks at no ports."""
    others = (("client", 81), ("stranger", 80))
    text = ""

    def is_reporting() -> bool:
        nonlocal text
        text, admitted = suggested(pods)
        return not admitted and names.POLICY_MODE in text

    def is_enforcing() -> bool:
        nonlocal text
        text, admitted = suggested(pods)
        return admitted == {"client": [("server", "TCP", 80)], "server": [("client", "TCP", 80)]}

    def are_open() -> bool:
        return all(opens(pods, *each) for each in others)

    try:
        until(are_open, "the control: nothing guards them")
        until(is_reporting, "a suggestion that only reports yet")
        pods.kubectl("apply", "-f", "-", data=text)
        until(is_enforcing, "a suggestion that names the port")
        until(are_open, "the control: audit drops nothing")
        pods.kubectl("apply", "-f", "-", data=text)
        until(lambda: not any(opens(pods, *each) for each in others), "the suggestion to count")
        until(lambda: opens(pods, "client", 80), "what it admits to be open")
    finally:
        pods.kubectl("delete", "multi-networkpolicy", "--all")
    until(are_open, "all to be open again")


@pytest.fixture(scope="module")
def guarded(pods: Room) -> Iterator[Room]:
    """The server hears the client on port 80, and nobody else."""
    pods.apply(
        {
            "apiVersion": "k8s.cni.cncf.io/v1beta1",
            "kind": "MultiNetworkPolicy",
            "metadata": {
                "name": "web",
                "namespace": pods.namespace,
                "annotations": policy_for(f"{pods.namespace}/{NETWORK}"),
            },
            "spec": {
                "podSelector": {"matchLabels": {"app": "server"}},
                "policyTypes": ["Ingress"],
                "ingress": [
                    {
                        "from": [{"podSelector": {"matchLabels": {"app": "client"}}}],
                        "ports": [{"protocol": "TCP", "port": 80}],
                    }
                ],
            },
        }
    )
    until(lambda: not opens(pods, "stranger", 80), "the policy to come into force")
    yield pods
    pods.kubectl("delete", "multi-networkpolicy", "web")
    until(lambda: opens(pods, "stranger", 80), "the policy to be gone")


ALLOWED = Flow("client", "server", "TCP/80", "allowed", ("web",))
DENIED = Flow("stranger", "server", "TCP", "denied", ("web",))


def test_an_allowed_and_a_denied_connection_with_the_policy_that_decides(guarded: Room) -> None:
    """As long as they go on: a look shows what is there at its time."""
    with connecting(guarded, "client", 80), connecting(guarded, "stranger", 80):
        whole = (f"--network={NETWORK}",)
        until(lambda: {ALLOWED, DENIED} <= set(flows(guarded, *whole)), "both flows")
        until(lambda: DENIED in flows(guarded, *whole, "--dropped"), "what is denied")
        assert ALLOWED not in flows(guarded, *whole, "--dropped")
        one = (f"--namespace={guarded.namespace}", "--pod=client")
        until(lambda: any(each.source == "client" for each in flows(guarded, *one)), "one pod's")
        assert DENIED not in flows(guarded, *one)


def test_new_flows_are_followed_until_ctrl_c(guarded: Room) -> None:
    one = ("--pod=stranger", f"--namespace={guarded.namespace}", "--dropped")
    with started(guarded, "flows", "--follow", *one, "-o", "json") as running:
        try:
            assert running.stdout is not None
            with connecting(guarded, "stranger", 80):
                while read(json.loads(line := running.stdout.readline())) != DENIED:
                    assert json.loads(line)["verdict"] == "denied"
            running.send_signal(signal.SIGINT)
            _, complaints = running.communicate(timeout=PATIENCE)
        finally:
            running.kill()
    assert running.returncode == 0, complaints
    assert "Traceback" not in complaints
