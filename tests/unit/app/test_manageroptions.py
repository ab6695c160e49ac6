"""What a cluster manager is told and cannot work with is refused before it asks anybody."""

from __future__ import annotations

import pytest

from weft import errors
from weft.app import manageroptions, settings


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (settings.ClusterManager(workers=0), "--workers 0: must be at least 1"),
        (settings.ClusterManager(default_mtu=575), "--default-mtu 575: must be from 576 to 65535"),
        (settings.ClusterManager(underlay_mtu=-1), "--underlay-mtu -1: must be from 0 to 65535"),
        (settings.ClusterManager(reserved_subnets="x"), '--reserved-subnets "x": must be subnets'),
        (
            settings.ClusterManager(cluster_subnets="10.0.0.0", allow_primary=True),
            "--cluster-subnets: subnets",
        ),
        (settings.ClusterManager(cluster_subnets="10.0.0.0/16/24"), "needs --allow-primary"),
    ],
)
def test_what_cannot_work_is_refused_by_its_flag(
    options: settings.ClusterManager, message: str
) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        manageroptions.check(options)
    assert message in str(caught.value)
    manageroptions.check(settings.ClusterManager())
