"""A kernel and its modules, as distributions wrap them."""

from __future__ import annotations

import lzma
import struct

from weft_lab.vm import kernel


def test_a_module_is_unpacked_and_loses_its_signature() -> None:
    signature = b"sig"
    info = bytes(8) + struct.pack(">I", len(signature))
    signed = b"\x7fELFcode" + signature + info + kernel.SIGNED
    assert kernel.module(lzma.compress(signed)) == b"\x7fELFcode"
    assert kernel.module(b"\x7fELFplain") == b"\x7fELFplain"


def test_a_kernel_of_unknown_wrapping_stays_as_it_is() -> None:
    assert kernel.unpack(b"MZ" + bytes(0x300)) is None
    assert kernel.unpack(b"\x7fELFkernel") == b"\x7fELFkernel"
