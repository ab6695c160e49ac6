"""Recognizes the annotations with which other plugins take address requests; weft ignores them.

weft takes requests as `ips` and `mac` of a selection element (k8s.v1.cni.cncf.io/networks).
Sources: Kube-OVN's "Fixed Addresses", Calico's "Use a specific IP address with a pod".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from weft import errors, names
from weft.model import ObjectKey

# "<nad>.<namespace>.ovn.kubernetes.io/ip_address" is Kube-OVN's for an additional network.
_KUBE_OVN = re.compile(
    r"(?P<name>[^/]+)\.(?P<namespace>[^./]+)\.ovn\.kubernetes\.io/(ip_address|ip_pool|mac_address)"
)
_OF_POD = re.compile(
    r"ovn\.kubernetes\.io/(ip_address|ip_pool|mac_address)|cni\.projectcalico\.org/ipAddrs(NoIpam)?"
)
_HINT = f'write "ips" or "mac" in an element of {names.NETWORKS}'


@lru_cache(maxsize=1024)
def is_request(key: str) -> bool:
    """Whether an annotation with this name requests an address from another plugin."""
    return bool(_OF_POD.fullmatch(key) or _KUBE_OVN.fullmatch(key))


def ignored_requests(
    subject: str, annotations: Mapping[str, object], nads: Iterable[ObjectKey], *, primary: bool
) -> list[errors.InvalidInput]:
    """A problem for each request for weft's networks: `nads`, and the default one if it is weft's.

    `primary`: weft serves the default network.
    """
    own = set(nads)
    found = []
    for key in sorted(annotations):
        named = _KUBE_OVN.fullmatch(key)
        is_ours = ObjectKey(named["namespace"], named["name"]) in own if named else False
        if is_ours or (primary and _OF_POD.fullmatch(key)):
            field, value = f"metadata.annotations[{key}]", annotations[key]
            rule = "is an annotation of another plugin and has no effect on weft's networks"
            found.append(errors.InvalidInput(subject, field, value, rule, hint=_HINT))
    return found
