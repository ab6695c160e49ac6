from __future__ import annotations

from typing import Any

from tests.unit.api.test_pod import pod
from weft.api import pod as reading
from weft.api import podendpoint

PORTS = [
    {"name": "web", "containerPort": 80},
    {"name": "dns", "containerPort": 53, "protocol": "UDP"},
]


def endpoint(**changes: Any) -> podendpoint.PodEndpoint:
    spec = {"hostname": "db", "containers": [{"name": "c", "ports": PORTS}]}
    whole = reading.read(pod(spec=spec, **changes))
    return podendpoint.of(whole, ("{}", "signed"))


def test_what_is_written_is_read() -> None:
    made = endpoint()
    assert podendpoint.read(podendpoint.render(made)) == made
    assert len(made.pod.named) == 2
    assert made.pod.hostname == "db"
    bare = podendpoint.of(reading.read(pod()), ("", ""))
    assert podendpoint.read(podendpoint.render(bare)) == bare


def test_the_pod_owns_it() -> None:
    (owner,) = podendpoint.render(endpoint())["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Pod", "p", "u")


def test_it_replaces_the_version_that_was_read() -> None:
    stored = podendpoint.render(endpoint())
    stored["metadata"] |= {"uid": "own", "resourceVersion": "9"}
    found = podendpoint.read(stored)
    assert (found.uid, found.version) == ("own", "9")
    assert podendpoint.render(found) == stored


def test_what_is_missing_counts_as_empty() -> None:
    found = podendpoint.read({"metadata": {"namespace": "a", "name": "p"}})
    assert (str(found.pod.key), found.pod.node, found.pod.proof) == ("a/p", "", ("", ""))
    odd = {"protocol": "ICMP", "name": "x", "port": 1}
    read = podendpoint.read({"metadata": {"namespace": "a", "name": "p"}, "spec": {"ports": [odd]}})
    assert read.pod.named == {}
