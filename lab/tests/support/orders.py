"""Programs that run inside a lab and obey orders: JSON, one a line, with one line of answer."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lab.tests.support.labs import ROOT
from tests.support.patience import PATIENCE


class Orders:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(self, op: str, **fields: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"op": op, **fields}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline() or '{"error": "the program ended"}')
        assert "error" not in answer, answer["error"]
        return answer["done"]


@contextmanager
def obeying(lab: str, module: str) -> Iterator[Orders]:
    """A program of this checkout, in the namespaces of the lab itself."""
    command = [sys.executable, "-m", "weft.cli.main", "lab", "exec", "--name", lab, "lab", "--"]
    process = subprocess.Popen(
        [*command, sys.executable, "-u", "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        yield Orders(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(PATIENCE)
