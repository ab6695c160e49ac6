"""What the first guest needs is made by a process of its own, which nobody waits for."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from weft_lab.runtime import cache
from weft_lab.runtime import toolchain as toolchains
from weft_lab.vm import ready

pytestmark = pytest.mark.real


@pytest.fixture
def without_guests(
    toolchain: toolchains.Toolchain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A cache that knows where the programs are, and holds no guest image yet."""
    for stamp in cache.folder().glob("tools-*/complete.json"):
        place = tmp_path / stamp.parent.name
        place.mkdir()
        shutil.copy(stamp, place)
    monkeypatch.setenv("WEFT_CACHE", str(tmp_path))
    return tmp_path


async def test_the_image_is_there_when_it_ends(without_guests: Path) -> None:
    assert images(without_guests) == []
    await ready.prepare()
    (size,) = images(without_guests)
    assert size > 1_000_000


def images(folder: Path) -> list[int]:
    """The sizes of those that are complete."""
    found = folder.glob("guest-*/complete")
    return [(stamp.parent / "initrd").stat().st_size for stamp in found]
