"""Archives as a kernel unpacks them."""

from __future__ import annotations

from weft_lab.vm import cpio


def test_an_archive_is_aligned_and_ends() -> None:
    archive = cpio.pack([cpio.folder("a"), cpio.file("a/b", b"xyz", 0o755), cpio.link("c", "a/b")])
    assert archive.startswith(b"070701")
    assert len(archive) % 4 == 0
    assert archive.count(b"070701") == 4
    assert cpio.TRAILER.encode() in archive
    assert b"a/b\0" in archive
