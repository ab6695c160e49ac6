"""What of a cluster gets into a support bundle, and that nothing secret does."""

from __future__ import annotations

import io
import json
import tarfile
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import objects
from weft import names
from weft.observe import bundle

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJl"
KEY = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIHVuaXF1ZWx5\n-----END PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"Authorization: Bearer {TOKEN}", TOKEN),
        (f"request failed: {TOKEN} is expired", TOKEN),
        (json.dumps({"message": KEY}), "uniquely"),
        (f"a key: {KEY}", "MC4CAQAwBQYDK2VwBCIEIHVuaXF1ZWx5"),
        (f"half of one: {KEY[:60]}", "MC4CAQAwBQYDK2VwBCIEIH"),
        ("https://admin:hunter22@registry.example/x", "hunter22"),
        ("password=hunter22 ok", "hunter22"),
        ('{"apiKey": "hunter22", "x": 1}', "hunter22"),
        ('"config": "{\\"token\\": \\"hunter22\\"}"', "hunter22"),
        ("client-key-data: aHVudGVyMjI=", "aHVudGVyMjI="),
        ("DB_PASSWORD: hunter22", "hunter22"),
    ],
)
def test_credentials_are_blanked(text: str, secret: str) -> None:
    assert secret not in bundle.blanked(text)
    assert bundle.BLANK in bundle.blanked(text)


@given(st.from_regex(r"[A-Za-z0-9_-]{20,60}", fullmatch=True))
def test_any_token_of_a_service_account_is_blanked(middle: str) -> None:
    token = f"eyJhbGciOi.{middle}.{middle[::-1]}"
    for text in (token, f"x {token} y", json.dumps({"a": token}), f"token={token}"):
        assert middle not in bundle.blanked(text)


def test_what_is_needed_stays() -> None:
    message = (
        "Pod default/web1: no address is free in subnet 10.9.0.0/24 (secrets may not be listed)"
    )
    assert bundle.blanked(message) == message


def test_a_pod_is_without_what_people_put_into_it() -> None:
    pod = objects.pod("web", "blue", node="node1", command=["run", "--with=hunter22"])
    pod["spec"]["containers"][0]["env"] = [{"name": "X", "value": "hunter22"}]
    pod["spec"]["volumes"] = [{"name": "v", "csi": {"volumeAttributes": {"a": "hunter22"}}}]
    pod["metadata"]["annotations"] |= {
        "kubectl.kubernetes.io/last-applied-configuration": "hunter22",
        names.POD_NETWORKS: "{}",
    }
    pod["metadata"]["managedFields"] = [{"fieldsV1": "hunter22"}]
    kept = bundle.slim(pod)
    assert "hunter22" not in json.dumps(kept)
    assert kept["spec"]["nodeName"] == "node1"
    assert set(kept["metadata"]["annotations"]) == {names.NETWORKS, names.POD_NETWORKS}


def test_a_nad_of_another_plugin_is_without_its_configuration() -> None:
    other = objects.raw_nad("other", '{"type": "vendor", "login": "hunter22"}')
    assert "hunter22" not in json.dumps(bundle.slim(other))
    assert "10.9.0.0/24" in json.dumps(bundle.slim(objects.nad("own", "10.9.0.0/24")))


def test_an_archive_holds_the_files() -> None:
    packed = bundle.packed([("a/b.txt", "text"), ("c", "")], datetime(2026, 1, 1, tzinfo=UTC))
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        assert archive.getnames() == ["weft-support/a/b.txt", "weft-support/c"]
        found = archive.extractfile("weft-support/a/b.txt")
        assert found is not None
        assert found.read() == b"text"
