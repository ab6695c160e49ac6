"""What stands in the way of a request before it is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from weft.kube import config, errors, transport


async def test_a_token_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    token = tmp_path / "token"
    endpoint = config.Endpoint("http://127.0.0.1:1", token_file=str(token))
    async with transport.Transport(endpoint) as door:
        for method in ("GET", "POST"):
            with pytest.raises(errors.Unauthorized, match=f"{token}: No such file") as caught:
                await door.request(method, "/version")
            assert "kubeconfig" in caught.value.hint
        with pytest.raises(errors.Unauthorized):
            async with door.stream("/api/v1/pods", {}, idle_timeout=1.0):
                pass


@pytest.mark.parametrize(("content", "why"), [(b" \n", "is empty"), (b"\xff", "is not text")])
async def test_a_token_file_without_a_token_is_named_and_nobody_is_anonymous(
    tmp_path: Path, content: bytes, why: str
) -> None:
    token = tmp_path / "token"
    token.write_bytes(content)
    endpoint = config.Endpoint("http://127.0.0.1:1", token_file=str(token))
    async with transport.Transport(endpoint) as door:
        with pytest.raises(errors.Unauthorized, match=why) as caught:
            await door.request("GET", "/version")
        assert str(token) in str(caught.value)
