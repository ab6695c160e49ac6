"""Knows the annotations by which other plugins take requests for addresses, which weft ignores.

Pure. weft's own words are `ips` and `mac` of an element of k8s.v1.cni.cncf.io/networks.
Sources: Kube-OVN's "Fixed Addresses", Calico's "Use a specific IP address with a pod".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from weft import errors, names

REASON = "AnnotationIgnored"
# "<nad>.<namespace>.ovn.kubernetes.io/ip_address" names an additional network of Kube-OVN's.
_KUBE_OVN = re.compile(
    r"(?P<name>[^/]+)\.(?P<namespace>[^./]+)\.ovn\.kubernetes\.io/(ip_address|ip_pool|mac_address)"
)
_OF_POD = re.compile(
    r"ovn\.kubernetes\.io/(ip_address|ip_pool|mac_address)|cni\.projectcalico\.org/ipAddrs(NoIpam)?"
)
_HINT = f'write "ips" or "mac" in an element of {names.NETWORKS}'


def is_request(key: str) -> bool:
    """Whether an annotation of this name asks another plugin for an address."""
    return bool(_OF_POD.fullmatch(key) or _KUBE_OVN.fullmatch(key))


def unfollowed(
    subject: str, annotations: Mapping[str, object], nads: Iterable[str], *, primary: bool
) -> list[errors.InvalidInput]:
    """The requests that concern weft: for these definitions, or for the cluster's own network.

    `nads` are "<namespace>/<name>", `primary` says whether that network is weft's.
    """
    asked = set(nads)
    found = []
    for key in sorted(annotations):
        named = _KUBE_OVN.fullmatch(key)
        is_ours = f"{named['namespace']}/{named['name']}" in asked if named else False
        if is_ours or (primary and _OF_POD.fullmatch(key)):
            field, value = f"metadata.annotations[{key}]", annotations[key]
            rule = "is an annotation of another plugin and has no effect on weft's networks"
            found.append(errors.InvalidInput(subject, field, value, rule, hint=_HINT))
    return found
