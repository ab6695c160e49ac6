"""Where a server listens."""

from __future__ import annotations

from weft_lab.apiserver import main


def test_listeners() -> None:
    found = main.parse_listener("https://[::1]:8443")
    assert (found.host, found.port, found.tls) == ("::1", 8443, True)
    assert main.parse_listener("http://127.0.0.1:80").tls is False
