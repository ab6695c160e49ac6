"""Runs a script of a test in namespaces of its own, and reads what it saw."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_NAMESPACES = (
    *("unshare", "--user", "--map-root-user", "--net", "--pid", "--mount", "--mount-proc"),
    *("--fork", "--kill-child"),
)


def run(script: str, folder: Path, timeout: float) -> dict[str, Any]:
    """Returns the seen.json that a script leaves in a folder; `script` is relative to the root.

    It fails if the script does, and ends the script after `timeout` seconds.
    """
    done = subprocess.run(
        [*_NAMESPACES, sys.executable, str(ROOT / script), str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    seen: dict[str, Any] = json.loads((folder / "seen.json").read_text())
    return seen
