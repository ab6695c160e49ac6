"""Archives and images: cpio, ISO 9660, ELF and the kernel's wrappings."""

from __future__ import annotations

import lzma
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft_lab.vm import cpio, guest, iso9660, kernel


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


def test_an_archive_is_aligned_and_ends() -> None:
    archive = cpio.pack([cpio.folder("a"), cpio.file("a/b", b"xyz", 0o755), cpio.link("c", "a/b")])
    assert archive.startswith(b"070701")
    assert len(archive) % 4 == 0
    assert archive.count(b"070701") == 4
    assert cpio.TRAILER.encode() in archive
    assert b"a/b\0" in archive


def test_a_module_is_unpacked_and_loses_its_signature() -> None:
    signature = b"sig"
    info = bytes(8) + struct.pack(">I", len(signature))
    signed = b"\x7fELFcode" + signature + info + kernel.SIGNED
    assert kernel.module(lzma.compress(signed)) == b"\x7fELFcode"
    assert kernel.module(b"\x7fELFplain") == b"\x7fELFplain"


def test_a_kernel_of_unknown_wrapping_stays_as_it_is() -> None:
    assert kernel.unpack(b"MZ" + bytes(0x300)) is None
    assert kernel.unpack(b"\x7fELFkernel") == b"\x7fELFkernel"


def test_modules_load_after_those_they_need() -> None:
    modules = {
        "a": b"\0depends=c,b-x\0",
        "b_x": b"\0depends=\0",
        "c": b"\0depends=b_x\0",
    }
    assert guest.load_order(modules) == ["b_x", "c", "a"]


def test_a_guest_holds_what_it_needs_in_a_usable_order() -> None:
    parts = guest.Parts(
        busybox=b"bb",
        applets=("sh", "udhcpc", "busybox", "curl"),
        programs={"bin/curl": b"", "sbin/qemu-ga": b""},
        libraries={"libc.so.6": b"c"},
        modules={"virtio_net": b"\0depends=\0"},
        scripts={"rc": b"rc", "shutdown": b"s"},
    )
    entries = guest.plan(parts)
    paths = [entry.path for entry in entries]
    assert len(paths) == len(set(paths))
    seen = set()
    for path in paths:
        parent = path.rpartition("/")[0]
        assert not parent or parent in seen, f"{path} comes before its folder"
        seen.add(path)
    assert {"init", "bin/sh", "bin/curl", "etc/rc", "sbin/shutdown", "lib/modules/order"} <= seen
    assert cpio.pack(entries) == cpio.pack(guest.plan(parts))
