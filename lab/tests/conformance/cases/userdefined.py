"""Rules in CEL, those of UserDefinedNetworks: what is taken, and what is said of what is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.tests.conformance.exchange import MERGE, Ask, Case
from tests.support import userdefined as of

UDNS = "/apis/k8s.ovn.org/v1/namespaces/{ns}/userdefinednetworks"
CUDNS = "/apis/k8s.ovn.org/v1/clusteruserdefinednetworks"


def _udn(spec: Mapping[str, Any], name: str) -> Any:
    made = of.udn(dict(spec), name)
    del made["metadata"]["namespace"]
    return made


def _ask(spec: Mapping[str, Any], name: str) -> Ask:
    return Ask("POST", f"{UDNS}?dryRun=All", _udn(spec, name))


def _cluster(spec: Mapping[str, Any], name: str) -> Ask:
    return Ask("POST", f"{CUDNS}?dryRun=All", of.cudn(dict(spec), name))


def _changed(spec: Mapping[str, Any]) -> Ask:
    return Ask("PATCH", f"{UDNS}/two", {"spec": spec}, MERGE)


def _routed(layer3: Mapping[str, Any]) -> Ask:
    return Ask("PATCH", f"{UDNS}/routed", {"spec": {"layer3": layer3}}, MERGE)


CASES = (
    Case(
        "udn-valid",
        tuple(_ask(spec, f"n{number}") for number, spec in enumerate(of.VALID.values())),
    ),
    Case(
        "udn-invalid",
        tuple(_ask(spec, f"n{n}") for n, (spec, _) in enumerate(of.INVALID.values())),
    ),
    Case(
        "cudn-invalid",
        tuple(_cluster(spec, f"n{n}") for n, (spec, _) in enumerate(of.CLUSTER_INVALID.values())),
    ),
    Case(
        "udn-changed",
        (
            Ask("POST", UDNS, _udn(of.two(), "two")),
            Ask("POST", UDNS, _udn(of.routed(), "routed")),
            _changed({"layer2": {"mtu": 1300}}),
            _changed({"topology": "Layer3", "layer2": None, "layer3": of.LAYER3}),
            _routed({"subnets": [of.part("10.65.0.0/16")]}),
            _routed({"role": "Primary"}),
            _routed({"mtu": 1300}),
            _routed({"mtu": 1200}),
            Ask("PATCH", f"{UDNS}/two", {"metadata": {"labels": {"a": "b"}}}, MERGE),
        ),
    ),
)
