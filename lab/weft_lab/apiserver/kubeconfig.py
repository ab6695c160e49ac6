"""Writes the kubeconfig of this server, with its address, authority and token."""

from __future__ import annotations

import base64
from pathlib import Path

import orjson

from weft.host import files


def render(server: str, token: str, *, authority: bytes = b"", name: str = "weft") -> str:
    """The file's text; JSON, which is YAML too."""
    cluster: dict[str, str] = {"server": server}
    if authority:
        cluster["certificate-authority-data"] = base64.b64encode(authority).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
        "preferences": {},
    }
    return orjson.dumps(config, option=orjson.OPT_INDENT_2).decode() + "\n"


def write(path: Path, text: str) -> None:
    """Readable by its owner only: it holds a token."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    files.replace(path, text.encode())
