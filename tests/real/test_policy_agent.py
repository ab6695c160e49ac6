"""The node agent among policies: without their kind, across a restart, from the API to rows."""

from __future__ import annotations

import pytest

from tests.support.objects import policy
from weft.ovn import policy as ovn
from weft.policy import netpolicy

pytestmark = pytest.mark.real
KIND = "multi-networkpolicies.yaml"
DENY = ovn.Group(ovn.GroupKind.DENY, "blue", "default", netpolicy.Direction.INGRESS).name
SHUT = policy("shut", app="guarded", policyTypes=["Ingress"])
