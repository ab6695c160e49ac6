"""Authorities and certificates that change on disk while a client runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from weft.kube import config, errors, transport
from weft_lab.apiserver import certificates

pytestmark = pytest.mark.real


@contextlib.asynccontextmanager
async def serving(context: ssl.SSLContext, port: int = 0) -> AsyncIterator[int]:
    """A server that answers each connection once, with an empty object."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
            writer.write(head + b"{}")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port, ssl=context)
    async with server:
        yield int(server.sockets[0].getsockname()[1])


def kubeconfig(folder: Path, port: int, **user: str) -> Path:
    path = folder / "kubeconfig"
    cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority": "ca.crt"}
    document = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(json.dumps(document))
    return path


def put(target: Path, source: Path) -> None:
    """As they rotate: another file takes the name."""
    fresh = target.with_suffix(".new")
    fresh.write_bytes(source.read_bytes())
    os.replace(fresh, target)


@contextlib.asynccontextmanager
async def changed_server(
    folder: Path, before: ssl.SSLContext, after: ssl.SSLContext, **user: str
) -> AsyncIterator[transport.Transport]:
    """A client that one server has answered, and in its place another one now."""
    async with contextlib.AsyncExitStack() as stack:
        async with serving(before) as port:
            endpoint = config.load(str(kubeconfig(folder, port, **user)))
            door = transport.Transport(endpoint, patience=0)
            await stack.enter_async_context(door)
            assert await door.request("GET", "/version") == b"{}"
        await stack.enter_async_context(serving(after, port))
        yield door


async def test_an_authority_that_changed_on_disk_is_trusted(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    contexts = [certificates.context(folder) for folder in (old, new)]
    put(tmp_path / "ca.crt", old / "ca.crt")
    async with changed_server(tmp_path, *contexts) as door:
        with pytest.raises(errors.Unreachable):
            await door.request("GET", "/version")
        put(tmp_path / "ca.crt", new / "ca.crt")
        assert await door.request("GET", "/version") == b"{}"


def client_certificate(folder: Path) -> None:
    """Signed by itself."""
    folder.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, folder.name)])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "client.crt").write_bytes(made.public_bytes(pem))
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "client.key").write_bytes(key.private_bytes(pem, form, plain))


async def test_a_client_certificate_that_changed_on_disk_is_shown(tmp_path: Path) -> None:
    clients = [tmp_path / name for name in ("first", "second")]
    contexts = []
    for client in clients:
        client_certificate(client)
        context = certificates.context(tmp_path / "server")
        context.maximum_version = ssl.TLSVersion.TLSv1_2  # it refuses while hands are shaken
        context.load_verify_locations(client / "client.crt")
        context.verify_mode = ssl.CERT_REQUIRED
        contexts.append(context)
    put(tmp_path / "ca.crt", tmp_path / "server" / "ca.crt")

    def show(client: Path) -> None:
        for name in ("client.crt", "client.key"):
            put(tmp_path / name, client / name)

    show(clients[0])
    user: dict[str, Any] = {"client-certificate": "client.crt", "client-key": "client.key"}
    async with changed_server(tmp_path, *contexts, **user) as door:
        with pytest.raises(errors.Unreachable):
            await door.request("GET", "/version")
        show(clients[1])
        assert await door.request("GET", "/version") == b"{}"


async def test_files_that_make_no_context_leave_the_former_in_use(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    context = certificates.context(tmp_path / "old")
    put(tmp_path / "ca.crt", tmp_path / "old" / "ca.crt")
    async with serving(context) as port:
        endpoint = config.load(str(kubeconfig(tmp_path, port)))
        async with transport.Transport(endpoint, patience=0) as door:
            (tmp_path / "ca.crt").write_text("half of a certificate")
            door._credentials.recheck()
            assert await door.request("GET", "/version") == b"{}"
    assert "the former ones stay in use" in caplog.text


def test_authorities_without_key_identifiers_are_trusted_as_by_kubernetes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Newer versions of Python begin with the strict flag."""
    made = ssl.create_default_context

    def strict(cadata: str | None = None) -> ssl.SSLContext:
        context = made(cadata=cadata)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)
    client_certificate(tmp_path / "authority")
    context = config.trusting((tmp_path / "authority/client.crt").read_text())
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
