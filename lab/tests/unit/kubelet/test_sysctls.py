"""Which kernel parameters a pod may set."""

from __future__ import annotations

from typing import Any

import pytest

from weft_lab.kubelet import sysctls


def asks(*names: str, **spec: Any) -> dict[str, Any]:
    listed = [{"name": name, "value": "1"} for name in names]
    return {"spec": {"securityContext": {"sysctls": listed}, **spec}}


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
        ("net/ipv4/ip_forward", "net/ipv4/ip_forward"),
        ("net.ipv4.conf.net1/100.rp_filter", "net/ipv4/conf/net1.100/rp_filter"),
        ("net/ipv4/conf/net1.100/rp_filter", "net/ipv4/conf/net1.100/rp_filter"),
    ],
)
def test_the_networks_own_are_set(name: str, path: str) -> None:
    assert sysctls.forbidden(asks(name)) == ""
    assert sysctls.of(asks(name)) == {path: "1"}


@pytest.mark.parametrize(
    "name",
    [
        *("kernel.shmmax", "vm.overcommit_memory", "net", "", "netx.y", "net.", "net..x"),
        *("net/../kernel/core_pattern", "net/ipv4/../../kernel/x", "/net/x", ".net.x"),
        *("net.ipv4/../x", "net.ipv4.x\n", "net.ipv4.\0", "net." + "x" * 300),
    ],
)
def test_others_are_refused(name: str) -> None:
    message = sysctls.forbidden(asks("net.ipv4.ip_forward", name))
    assert message == f'forbidden sysctl: "{name[:253]}" not allowlisted'


def test_a_pod_on_its_nodes_network_sets_none() -> None:
    assert "host net" in sysctls.forbidden(asks("net.ipv4.ip_forward", hostNetwork=True))
    assert sysctls.forbidden({"spec": {"hostNetwork": True}}) == ""
