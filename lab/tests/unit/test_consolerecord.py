"""Whether a lab's console serves it is known by its lock, whatever else is left behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from weft_lab import consolerecord, state
from weft_lab.runtime import pythonpath

SERVES = """
import sys, time
from pathlib import Path
from weft_lab import consolerecord, state

folder = state.Folder(Path(sys.argv[1]))
with consolerecord.serving(folder) as is_first:
    if is_first:
        consolerecord.write(folder, "http://here")
    print(is_first, flush=True)
    time.sleep(1000)
"""


def serve(folder: state.Folder) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVES, str(folder.path)],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": pythonpath.value()},
        text=True,
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def test_one_console_serves_a_lab_until_it_is_ended(tmp_path: Path) -> None:
    folder = state.Folder(tmp_path)
    assert consolerecord.address(folder) == ""
    assert not consolerecord.end(folder)
    (tmp_path / "console").write_text("http://of-one-that-was-killed")
    assert consolerecord.address(folder) == ""
    first, is_first = serve(folder)
    second, is_second = serve(folder)
    try:
        assert (is_first, is_second) == ("True", "False")
        assert consolerecord.address(folder) == "http://here"
        assert consolerecord.end(folder)
        assert first.wait() != 0
        assert second.poll() is None, "it was none of the lab's"
        assert consolerecord.address(folder) == ""
        assert not consolerecord.end(folder)
    finally:
        for each in (first, second):
            each.kill()
            each.communicate()
