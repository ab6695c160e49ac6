"""Where the switch's sockets are looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from weft.host import sockets


@pytest.mark.parametrize(
    ("database", "folder"),
    [
        ("unix:/run/openvswitch/db.sock", "/run/openvswitch"),
        ("unix:/srv/ovs/db.sock", "/srv/ovs"),
        ("tcp:127.0.0.1:6640", "/run/openvswitch"),
    ],
)
def test_sockets_lie_beside_the_database(database: str, folder: str) -> None:
    assert sockets.folder(database) == Path(folder)
