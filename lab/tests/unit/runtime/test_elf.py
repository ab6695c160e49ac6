"""Programs and the libraries that they name."""

import sys

from weft_lab.runtime import elf


def test_a_program_names_its_libraries() -> None:
    with open(sys.executable, "rb") as program:
        data = program.read()
    assert any(name.startswith("libc.so") for name in elf.needed(data))
    assert "ld-linux" in elf.interpreter(data)
    assert elf.needed(b"#!/bin/sh\n") == ()


def test_libraries_of_libraries_are_found() -> None:
    with open(sys.executable, "rb") as program:
        data = program.read()
    asked: list[str] = []

    def read(name: str) -> bytes:
        asked.append(name)
        return b""

    assert list(elf.closure([data, data], read)) == sorted(set(asked))
    assert len(asked) == len(set(asked))
