"""Who may have how many connections into a pod of a node."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from tests.support.patience import PATIENCE
from weft_lab import layout
from weft_lab.kubelet import sandbox, streaming


@contextlib.asynccontextmanager
async def serving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """The path of a kubelet's socket; its verbs last until the client goes."""

    async def lasts(connection: streaming.Connection) -> None:
        await connection.take()
        await connection.gone()

    boxes: list[Any] = [
        SimpleNamespace(about=SimpleNamespace(uid=f"u{number}", namespace=namespace, pod="web"))
        for number, namespace in enumerate(("bank", *["shop"] * 8))
    ]
    monkeypatch.setattr(sandbox, "find", lambda folder: boxes)
    monkeypatch.setattr(streaming, "_VERBS", dict.fromkeys(streaming.SHARE, lasts))
    environment: Any = SimpleNamespace(folder=tmp_path, logs=tmp_path)
    running = asyncio.create_task(streaming.run(tmp_path, environment))
    path = tmp_path / layout.KUBELET_SOCKET.name
    try:
        async with asyncio.timeout(PATIENCE):
            while not path.exists():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            yield str(path)
    finally:
        running.cancel()
        await asyncio.wait([running])


async def ask(path: str, uid: str, verb: str, **more: Any) -> tuple[Any, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_unix_connection(path)
    order = {"verb": verb, "uid": uid, "namespace": "shop", "pod": "web", **more}
    writer.write(orjson.dumps(order) + b"\n")
    return orjson.loads(await reader.readline()), writer


async def test_one_pod_has_no_more_than_its_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path, monkeypatch) as path:
        for verb, share in streaming.SHARE.items():
            kept = [await ask(path, "u1", verb) for _ in range(share)]
            assert all(answer == {"taken": True} for answer, _ in kept)
            refused, _ = await ask(path, "u1", verb)
            assert refused["refused"].startswith("pod shop/web: ")
            assert f"{share} streams of {verb} are open already" in refused["refused"]
            answer, other = await ask(path, "u2", verb)
            assert answer == {"taken": True}
            for _, writer in [*kept, ("", other)]:
                writer.close()
            while (await ask(path, "u1", verb))[0] != {"taken": True}:
                pass  # the kubelet has not seen them go


async def test_who_does_not_read_the_end_keeps_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits for a client counts until it has it, or has gone."""

    async def ends(connection: streaming.Connection) -> None:
        connection.writer.write(bytes(4 << 20))

    async with serving(tmp_path, monkeypatch) as path:
        monkeypatch.setitem(streaming._VERBS, "attach", ends)
        monkeypatch.setitem(streaming.SHARE, "attach", 1)
        _, writer = await asyncio.open_unix_connection(path, limit=1024)
        order = {"verb": "attach", "uid": "u1", "namespace": "shop", "pod": "web"}
        writer.write(orjson.dumps(order) + b"\n")
        await asyncio.sleep(0.2)
        refused, _ = await ask(path, "u1", "attach")
        assert "already" in refused["refused"]
        writer.transport.abort()
        monkeypatch.setitem(streaming._VERBS, "attach", taken)
        while "refused" in (await ask(path, "u1", "attach"))[0]:
            pass  # the kubelet has not seen it go


async def taken(connection: streaming.Connection) -> None:
    await connection.take()


async def test_one_namespace_leaves_room_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "NAMESPACE_SHARE", 8)
    async with serving(tmp_path, monkeypatch) as path:
        kept = [await ask(path, f"u{number}", "exec") for number in range(1, 9)]
        refused, _ = await ask(path, "u1", "attach")
        assert refused["refused"].startswith("namespace shop: 8 streams are open already")
        assert (await ask(path, "u0", "exec"))[0] == {"taken": True}
        for answer, writer in kept:
            assert answer == {"taken": True}
            writer.close()


def test_shares_leave_room_for_others() -> None:
    assert sum(streaming.SHARE.values()) <= streaming.NAMESPACE_SHARE / 2
    assert streaming.NAMESPACE_SHARE <= streaming.MOST / 2


async def test_a_request_may_be_longer_than_what_is_held_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path, monkeypatch) as path:
        answer, writer = await ask(path, "u1", "exec", command=["x" * (900 << 10)])
        assert answer == {"taken": True}
        writer.close()
