"""NetworkQoS as users write them, and the marks of packets on the wire."""

from __future__ import annotations

import copy
from typing import Any

from tests.support import objects
from weft.api import networkqos
from weft.kube.resources import NETWORKQOSES
from weft.policy.networkqos import NetworkQos

Object = dict[str, Any]
BY_NAD = {
    "networkSelectionType": "NetworkAttachmentDefinitions",
    "networkAttachmentDefinitionSelector": {"namespaceSelector": {}, "networkSelector": {}},
}
BY_UDN = {
    "networkSelectionType": "SecondaryUserDefinedNetworks",
    "secondaryUserDefinedNetworkSelector": {"namespaceSelector": {}, "networkSelector": {}},
}
BY_CUDN = {
    "networkSelectionType": "ClusterUserDefinedNetworks",
    "clusterUserDefinedNetworkSelector": {"networkSelector": {}},
}


def networkqos_of(name: str, *egress: Object, namespace: str = "default", **spec: Any) -> Object:
    """An object about all networks of weft, with these rules."""
    made = objects.named(NETWORKQOSES, name, namespace)
    whole = {"networkSelectors": [BY_NAD], "priority": 10, "egress": list(egress), **spec}
    return {**made, "spec": copy.deepcopy(whole)}


def labelled(**labels: str) -> Object:
    return {"matchLabels": labels}


def valid(obj: Object) -> NetworkQos:
    parsed = networkqos.read(obj)
    assert parsed.current is not None, parsed.problems
    return parsed.current


def dscp(frame: bytes) -> int:
    """The mark in an IPv4 or IPv6 frame."""
    if frame[12:14] == b"\x08\x00":
        return frame[15] >> 2
    assert frame[12:14] == b"\x86\xdd"
    return (int.from_bytes(frame[14:16], "big") >> 4 & 0xFF) >> 2


def _selecting(*entries: Object) -> Object:
    return networkqos_of("n", {"dscp": 1}, networkSelectors=list(entries))


def _rule(**entry: Any) -> Object:
    return networkqos_of("n", {"dscp": 1, **entry})


def _to(**peer: Any) -> Object:
    return _rule(classifier={"to": [peer]})


_BLOCK = {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}
VALID = {
    "all networks": networkqos_of("n", {"dscp": 46}),
    "each kind": _selecting(BY_NAD, BY_UDN, BY_CUDN),
    "default network": _selecting({"networkSelectionType": "DefaultNetwork"}),
    "no networks": networkqos_of("n", {"dscp": 46}, networkSelectors=[BY_NAD], podSelector={}),
    "no rules": networkqos_of("n"),
    "all of a rule": _rule(
        bandwidth={"rate": 4294967295, "burst": 1},
        classifier={
            "to": [{"ipBlock": _BLOCK}, {"podSelector": labelled(a="b"), "namespaceSelector": {}}],
            "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "SCTP"}, {}],
        },
    ),
}
INVALID = {
    "no kind of networks": _selecting({}),
    "unknown kind of networks": _selecting({"networkSelectionType": "Others"}),
    "one kind twice": _selecting(BY_NAD, BY_NAD),
    "empty list of networks": _selecting(),
    "selector of another kind": _selecting({**BY_NAD, **BY_CUDN}),
    "kind without selector": _selecting({"networkSelectionType": "ClusterUserDefinedNetworks"}),
    "priority": networkqos_of("n", {"dscp": 1}, priority=101),
    "no priority": networkqos_of("n", {"dscp": 1}, priority=None),
    "dscp": _rule(dscp=64),
    "no dscp": _rule(dscp=None),
    "rate": _rule(bandwidth={"rate": 0}),
    "burst": _rule(bandwidth={"rate": 1, "burst": 4294967296}),
    "protocol": _rule(classifier={"ports": [{"protocol": "UDPX"}]}),
    "port": _rule(classifier={"ports": [{"port": 65536}]}),
    "block beside pods": _to(ipBlock=_BLOCK, podSelector={}),
    "block without range": _to(ipBlock={"except": []}),
    "too many destinations": _rule(classifier={"to": [{"ipBlock": _BLOCK}] * 65}),
    "too many ports": _rule(classifier={"ports": [{"port": 80}] * 65}),
    "too many rules": networkqos_of("n", *[{"dscp": 1}] * 21),
}
