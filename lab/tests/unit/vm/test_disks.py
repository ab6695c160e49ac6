"""Which files of the machine a virtual machine may have."""

from __future__ import annotations

import struct

import pytest

from weft.errors import InvalidInput
from weft_lab.vm import disks

FOLDERS = (disks.Folder("/img"), disks.Folder("/img/q", "qcow2"))


@pytest.mark.parametrize(
    ("text", "path", "form"),
    [("/img", "/img", "raw"), ("raw:/img", "/img", "raw"), ("qcow2:/a:b", "/a:b", "qcow2")],
)
def test_a_folder_and_its_format(text: str, path: str, form: str) -> None:
    assert disks.parse(text) == disks.Folder(path, form)
    assert disks.parse(str(disks.parse(text))) == disks.parse(text)


@pytest.mark.parametrize(
    "text", ["img", "vmdk:/img", "qcow2:img", "/", "/img/../etc", "/im\ng", ""]
)
def test_what_is_no_folder_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="disks"):
        disks.parse(text)


def test_the_innermost_folder_says_the_format() -> None:
    assert disks.locate("d", "/img/a/b.raw", FOLDERS) == (FOLDERS[0], "a/b.raw")
    assert disks.locate("d", "/img/q/b", FOLDERS) == (FOLDERS[1], "b")


@pytest.mark.parametrize(
    "path", ["/etc/shadow", "/img", "/imgs/a", "/img/../etc/shadow", "/img/./a", "img/a", ""]
)
def test_a_path_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        disks.locate("d", path, FOLDERS)
    assert refused.value.field == "d"


def header(version: int = 3, backing: int = 0, features: int = 0) -> bytes:
    first = b"QFI\xfb" + struct.pack(">IQIIQ", version, backing, 0, 16, 1 << 20)
    return first.ljust(72, b"\0") + struct.pack(">Q", features) + bytes(32)


def test_an_image_that_leads_to_no_other_file() -> None:
    disks.stands_alone("/q", header())
    disks.stands_alone("/q", header(version=2, features=4))  # no such field in that version
    assert disks.size(header()) == 1 << 20


@pytest.mark.parametrize(
    ("image", "rule"),
    [
        (bytes(112), "is not a qcow2 image"),
        (header()[:60], "is not a qcow2 image"),
        (header(backing=512), "needs another file"),
        (header(features=4), "needs another file"),
    ],
)
def test_an_image_that_leads_elsewhere_is_refused(image: bytes, rule: str) -> None:
    with pytest.raises(InvalidInput, match=rule):
        disks.stands_alone("/q", image)
