"""Certificates: made once, and grown when a server gets another name."""

from __future__ import annotations

import ssl
from pathlib import Path

from weft_lab.apiserver import certificates


def test_certificates_are_made_once_and_grow(tmp_path: Path) -> None:
    context = certificates.context(tmp_path, ["10.0.0.1"])
    assert isinstance(context, ssl.SSLContext)
    authority, first = certificates.authority(tmp_path), (tmp_path / "server.crt").read_bytes()
    certificates.ensure(tmp_path)
    assert (tmp_path / "server.crt").read_bytes() == first
    certificates.ensure(tmp_path, ["lab.example"])
    assert (tmp_path / "server.crt").read_bytes() != first
    assert certificates.authority(tmp_path) == authority
    assert (tmp_path / "ca.key").stat().st_mode & 0o777 == 0o600
