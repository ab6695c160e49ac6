"""The demo of tenants as a user runs it: networks of administrators, and a tenant's token."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from lab.tests.support import consoles
from lab.tests.support import labs as support
from lab.tests.support.demos import holds
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.lab
CLAIMS = {
    "has its address": 4,
    "ping": 2,
    "no answer to another network": 2,
    "declares no network": 1,
    "changes no network": 1,
    "deletes no network": 1,
    "touches no pod of others": 1,
    "puts no pod beside theirs": 1,
    "writes no annotation of weft": 1,
    "writes others of its pods": 1,
    "no grip on another's network": 1,
}


def test_a_tenant_uses_a_network_and_is_refused_the_rest(labs: support.LabHouse) -> None:
    labs.names.append("tenantdemo")
    shown = holds(labs, "tenants", "tenantdemo", CLAIMS)
    seen = {check["claim"]: check["seen"] for check in shown["checks"]}
    assert 'User "system:serviceaccount:shop:tenant" cannot create' in seen["declares no network"]
    assert "are written by weft alone" in seen["writes no annotation of weft"]
    assert "does not admit namespace shop" in seen["no grip on another's network"]
    done = subprocess.run(
        [labs.tools.program("kubectl"), "auth", "whoami"],
        env={**os.environ, "KUBECONFIG": shown["tenantKubeconfig"], "HOME": str(labs.state)},
        capture_output=True,
        text=True,
    )
    assert "system:serviceaccount:shop:tenant" in done.stdout, done.stderr
    # What the first run left hinders no other.
    with consoles.demo("tenants", "--name", "tenantdemo", "--console") as (process, written, link):
        assert f"All {sum(CLAIMS.values())} checks hold." in written
        assert "who reaches whom" in consoles.entered(link, "/matrix").lower()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        assert not consoles.is_served(link), "it has ended"
