"""Which requests in other plugins' words concern weft?"""

from __future__ import annotations

import pytest

from weft.api import addressrequests
from weft.model import ObjectKey

POD = "ovn.kubernetes.io/ip_address"
BLUE = "blue.default.ovn.kubernetes.io/ip_address"


@pytest.mark.parametrize(
    ("key", "primary", "told"),
    [
        (BLUE, False, True),
        ("blue.default.ovn.kubernetes.io/mac_address", False, True),
        ("red.default.ovn.kubernetes.io/ip_address", False, False),
        ("blue.default.ovn.kubernetes.io/allocated", False, False),
        (POD, False, False),
        (POD, True, True),
        ("cni.projectcalico.org/ipAddrs", True, True),
        ("cni.projectcalico.org/ipAddrs", False, False),
        ("k8s.v1.cni.cncf.io/networks", True, False),
    ],
)
def test_unfollowed(key: str, primary: bool, told: bool) -> None:
    found = addressrequests.ignored_requests(
        "Pod default/one", {key: "10.1.0.5"}, [ObjectKey("default", "blue")], primary=primary
    )
    assert [each.field for each in found] == ([f"metadata.annotations[{key}]"] if told else [])
    assert addressrequests.is_request(key) or not told
