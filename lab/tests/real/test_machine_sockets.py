"""A virtual machine's sockets, which others find by its names."""

from __future__ import annotations

from pathlib import Path

import pytest

from weft_lab.vm import jsonlines, launcher, qemu

pytestmark = pytest.mark.real


async def test_a_machine_of_the_longest_names_can_be_reached(tmp_path: Path) -> None:
    """A socket's path has 107 bytes at most, and two names alone may have more."""
    place = launcher.folder("n" * 63, "m" * 63, tmp_path)
    place.mkdir()
    with launcher.listening(place) as sockets:
        assert sockets.keys() == set(qemu.SOCKETS)
        for name, served in sockets.items():
            path = place / f"{name}.sock"
            assert path.stat().st_mode & 0o777 == 0o600
            stream = await jsonlines.Stream.connect(path)
            served.accept()[0].close()
            await stream.close()
