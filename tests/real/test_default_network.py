"""Weft as the primary network: manager, agents and plugin, from settings to packets."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.real

SETTINGS = ("--allow-primary", "--cluster-subnets", "10.128.0.0/14/23,fd00:10:128::/48/64")
CONFIG = {"cniVersion": "1.0.0", "name": "ovn-kubernetes", "type": "ovn-k8s-cni-overlay"}
DEFAULT = {"spec": {"config": json.dumps(CONFIG)}}
