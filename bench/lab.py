"""Measures how long a warm `weft lab up --nodes 3` takes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from statistics import median

from bench.figures import Figure
from weft_lab.runtime import toolchain

REPEATS = 5
COMMAND = [sys.executable, "-m", "weft", "lab"]


def run() -> Iterable[Figure]:
    toolchain.ensure()
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as state:
        env = {**os.environ, "XDG_STATE_HOME": state}
        times = [_up(env) for _ in range(REPEATS + 1)][1:]  # the first one fills caches
    yield Figure("weft lab up --nodes 3, warm", median(times), "s", at_most=4.0)


def _up(env: dict[str, str]) -> float:
    start = time.monotonic()
    subprocess.run(
        [*COMMAND, "up", "--name", "bench", "--nodes", "3"],
        env=env,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    took = time.monotonic() - start
    subprocess.run(
        [*COMMAND, "down", "--name", "bench"], env=env, check=True, stdout=subprocess.DEVNULL
    )
    return took
