"""A support bundle of a cluster with secrets in every place: none of them is in it."""

from __future__ import annotations

import asyncio
import base64
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

from tests.support import apiserver, cluster_manager, cluster_world, objects
from weft import names
from weft.kube import resources
from weft.kube.client import Client

pytestmark = pytest.mark.real

PASSWORD = "correct-horse-battery"


async def test_nothing_secret_is_in_it(tmp_path: Path) -> None:
    target = tmp_path / "bundle.tar.gz"
    async with (
        apiserver.running(tmp_path) as server,
        Client.from_kubeconfig(str(server.kubeconfig)) as api,
        cluster_manager.running(server.kubeconfig),
    ):
        secret = {**objects.named(resources.SECRETS, "own"), "stringData": {"x": PASSWORD}}
        await api.create(resources.SECRETS, secret)
        pod = cluster_world.pod("web", namespace="default")
        del pod["metadata"]["uid"]
        pod["spec"]["containers"][0]["env"] = [{"name": "X", "value": PASSWORD}]
        pod["metadata"]["annotations"]["example.org/note"] = PASSWORD
        await api.create(resources.PODS, {**pod, "apiVersion": "v1", "kind": "Pod"})
        await api.create(resources.NADS, objects.nad("blue"))
        command = ("support-bundle", str(target), "-n", "default")
        done = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "weft.cli.main", *command),
            *("--kubeconfig", str(server.kubeconfig)),
            stderr=asyncio.subprocess.PIPE,
        )
        _, complaints = await done.communicate()
        assert done.returncode == 0, complaints.decode()
        key = await api.get(resources.SECRETS, names.SIGNING_KEY, "default")

    secrets = [PASSWORD, *key["data"].values()]
    secrets += [base64.b64decode(each).decode() for each in key["data"].values()]
    secrets += [line for each in list(secrets) for line in each.splitlines() if len(line) > 30]
    secrets += credentials(yaml.safe_load(server.kubeconfig.read_text()))
    assert len(secrets) > 4
    with tarfile.open(target) as archive:
        found = {}
        for each in archive.getmembers():
            opened = archive.extractfile(each)
            assert opened is not None
            found[each.name] = opened.read().decode()
    assert {"weft-support/pods.json", "weft-support/networks.json"} <= set(found)
    assert '"blue"' in found["weft-support/network-attachment-definitions.json"]
    assert target.stat().st_mode & 0o077 == 0
    for name, text in found.items():
        for each in secrets:
            assert each not in text, f"{name} has a secret"


def credentials(kubeconfig: object) -> list[str]:
    """The tokens and keys in a kubeconfig, also those in files that it names."""
    if isinstance(kubeconfig, list):
        return [each for one in kubeconfig for each in credentials(one)]
    if not isinstance(kubeconfig, dict):
        return []
    found = [kubeconfig[key] for key in ("token", "client-key-data") if key in kubeconfig]
    files = [kubeconfig[key] for key in ("tokenFile", "client-key") if key in kubeconfig]
    found += [Path(each).read_text().strip() for each in files]
    return found + [each for one in kubeconfig.values() for each in credentials(one)]
