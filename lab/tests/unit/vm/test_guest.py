"""The guest's own files, and the order of its modules."""

from __future__ import annotations

from weft_lab.vm import cpio, guest


def test_modules_load_after_those_they_need() -> None:
    modules = {
        "a": b"\0depends=c,b-x\0",
        "b_x": b"\0depends=\0",
        "c": b"\0depends=b_x\0",
    }
    assert guest.load_order(modules) == ["b_x", "c", "a"]


def test_a_guest_holds_what_it_needs_in_a_usable_order() -> None:
    contents = guest.Contents(
        busybox=b"bb",
        applets=("sh", "udhcpc", "busybox", "curl"),
        programs={"bin/curl": b"", "sbin/qemu-ga": b""},
        libraries={"libc.so.6": b"c"},
        modules={"virtio_net": b"\0depends=\0"},
        scripts={"rc": b"rc", "shutdown": b"s"},
    )
    entries = guest.plan(contents)
    paths = [entry.path for entry in entries]
    assert len(paths) == len(set(paths))
    seen = set()
    for path in paths:
        parent = path.rpartition("/")[0]
        assert not parent or parent in seen, f"{path} comes before its folder"
        seen.add(path)
    assert {"init", "bin/sh", "bin/curl", "etc/rc", "sbin/shutdown", "lib/modules/order"} <= seen
    assert cpio.pack(entries) == cpio.pack(guest.plan(contents))
