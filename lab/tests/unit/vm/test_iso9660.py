"""ISO 9660 images, read by a reader of their own."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft_lab.vm import iso9660


def read_iso(image: bytes) -> dict[str, bytes]:
    """A reader of its own, along the standard's offsets."""
    assert image[16 * 2048 : 16 * 2048 + 6] == b"\x01CD001"
    root = image[16 * 2048 + 156 :]
    place, size = (struct.unpack_from("<I", root, at)[0] for at in (2, 10))
    files, at = {}, place * 2048
    while at < place * 2048 + size:
        length = image[at]
        if not length:
            at += -at % 2048
            continue
        sector, count = (struct.unpack_from("<I", image, at + offset)[0] for offset in (2, 10))
        name = image[at + 33 : at + 33 + image[at + 32]].decode("latin-1")
        if len(name) > 1:
            name = name.removesuffix(";1").removesuffix(".")
            files[name] = image[sector * 2048 : sector * 2048 + count]
        at += length
    return files


NAMES = st.text("abcdefghijklmnopqrstuvwxyz-0123456789", min_size=1, max_size=28)


@given(st.dictionaries(NAMES, st.binary(max_size=5000), max_size=90))
def test_what_is_written_to_an_image_is_read_from_it(files: dict[str, bytes]) -> None:
    image = iso9660.image("cidata", files)
    assert read_iso(image) == files
    assert len(image) % 2048 == 0
    assert image[16 * 2048 + 40 :].startswith(b"cidata ")


@pytest.mark.parametrize("name", ["", "a/b", "x" * 31])
def test_names_that_do_not_fit_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="file name"):
        iso9660.image("cidata", {name: b""})
