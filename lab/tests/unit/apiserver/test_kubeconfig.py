"""The kubeconfig of a server."""

from __future__ import annotations

from pathlib import Path

import orjson

from weft_lab.apiserver import kubeconfig


def test_the_kubeconfig_is_whole(tmp_path: Path) -> None:
    text = kubeconfig.render("https://h:1", "secret", authority=b"ca", name="lab")
    found = orjson.loads(text)
    assert found["current-context"] == "lab"
    assert found["users"][0]["user"]["token"] == "secret"
    assert found["clusters"][0]["cluster"]["certificate-authority-data"] == "Y2E="
    path = tmp_path / "new" / "config"
    kubeconfig.write(path, text)
    assert path.read_text() == text
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]
