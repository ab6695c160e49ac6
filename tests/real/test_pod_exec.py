"""A program in a container, run through the API server: what it answers, and how that fails."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import apiserver, entered
from tests.support import objects as made
from tests.support.patience import PATIENCE
from weft import errors
from weft.kube import podexec, resources
from weft.kube.client import Client, NotFound
from weft.model import ObjectKey

pytestmark = pytest.mark.real
POD = ObjectKey("default", "web")


async def test_a_program_gets_its_input_and_its_end_is_known(tmp_path: Path) -> None:
    async with (
        apiserver.running(tmp_path, "--kubelets", str(tmp_path / "{node}.sock")) as server,
        Client.from_kubeconfig(str(server.kubeconfig)) as api,
        entered.kubelet(tmp_path / "node1.sock") as kubelet,
    ):

        async def run(
            *argv: str, data: bytes = b"", most: int = 1 << 20, pod: str = "web"
        ) -> bytes:
            key = ObjectKey("default", pod)
            return await podexec.run(api, key, "c", argv, data, patience=PATIENCE, most=most)

        async def fails(expected: str, *argv: str, most: int = 1 << 20) -> None:
            with pytest.raises(errors.Unavailable, match=re.escape(expected)):
                await run(*argv, most=most)

        for name in ("node1", "node2"):
            await api.create(resources.NODES, {"metadata": {"name": name}})
        for name, node in (("web", "node1"), ("lost", "node2")):
            await api.create(resources.PODS, made.pod(name, node=node))

        sent = bytes(range(256)) * 1024
        assert await run("cat", data=sent) == sent
        assert await run("printf", "%s|", "a b", "--container=other", "&x=1") == (
            b"a b|--container=other|&x=1|"
        )
        assert {each["container"] for each in kubelet.orders} == {"c"}
        await fails(
            "sh ended with status 3: no such thing", "sh", "-c", "echo no such thing >&2; exit 3"
        )
        await fails("more than 100 bytes", "printf", "%0101d", "0", most=100)
        with pytest.raises(errors.Unavailable, match=r"sleep gave no answer within 0\.5 s"):
            await podexec.run(api, POD, "c", ("sleep", "60"), b"", patience=0.5, most=1)
        with pytest.raises(NotFound, match='"nobody" not found'):
            await run("true", pod="nobody")
        with pytest.raises(errors.Unavailable, match="error dialing backend: node node2"):
            await run("true", pod="lost")
