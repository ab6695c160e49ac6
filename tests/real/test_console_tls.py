"""The console for several people: over TLS, with a token for each."""

from __future__ import annotations

import asyncio
import ssl
import sys
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from tests.support import apiserver
from tests.support.patience import PATIENCE
from weft.app import servingcertificate

pytestmark = pytest.mark.real
NAME = "console.example.org"


async def test_a_token_lets_in_over_tls_alone(tmp_path: Path) -> None:
    made = servingcertificate.make([NAME], datetime.now(UTC))
    certificate, key = tmp_path / "console.crt", tmp_path / "console.key"
    certificate.write_bytes(made.pem)
    key.write_bytes(made.key)
    trusting = ssl.create_default_context(cadata=made.pem.decode())
    async with apiserver.running(tmp_path) as server:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "weft", "console", f"--kubeconfig={server.kubeconfig}"),
            *("--login", "--address=0.0.0.0", f"--host={NAME}"),
            *(f"--tls-certificate={certificate}", f"--tls-key={key}"),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(PATIENCE):
                link = (await process.stdout.readline()).decode().split()[1]
            assert link.startswith(f"https://{NAME}:")
            assert link.endswith("/login")
            await _visit(link.removesuffix("/login"), trusting, server.token)
        finally:
            process.terminate()
            await process.communicate()
    assert process.returncode == 0


class _Here(aiohttp.abc.AbstractResolver):
    """The console's name leads to this machine."""

    async def resolve(
        self, host: str, port: int = 0, family: int = 0
    ) -> list[aiohttp.abc.ResolveResult]:
        made = aiohttp.abc.ResolveResult
        return [made(hostname=host, host="127.0.0.1", port=port, family=2, proto=0, flags=0)]

    async def close(self) -> None:
        pass


async def _visit(base: str, trusting: ssl.SSLContext, token: str) -> None:
    """Log in as a browser does that knows the certificate, and see what does not work."""
    joined = aiohttp.TCPConnector(ssl=trusting, resolver=_Here())
    async with aiohttp.ClientSession(connector=joined) as session:
        own = {"Origin": base}
        for headers in ({"Origin": base.replace("https", "http")}, {"Origin": "null"}):
            async with session.post(
                base + "/login", data={"token": token}, headers=headers
            ) as answer:
                assert answer.status == 403
        async with session.post(
            base + "/login", data={"token": token}, headers=own, allow_redirects=False
        ) as answer:
            assert answer.status == 303
            assert "; Secure" in answer.headers["Set-Cookie"]
        async with session.get(base + "/networks") as answer:
            assert (answer.status, "Log out" in await answer.text()) == (200, True)
        async with session.get(
            base + "/networks", headers={"Host": base.rpartition(":")[2]}
        ) as answer:
            assert answer.status == 421, "another name"
    # Who does not know the certificate.
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=_Here())) as session,
            session.get(base + "/login"),
        ):
            pass
    # In the clear.
    with pytest.raises(aiohttp.ClientError):
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=_Here())) as session,
            session.get(base.replace("https", "http") + "/login"),
        ):
            pass
