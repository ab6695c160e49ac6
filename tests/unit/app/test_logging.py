from __future__ import annotations

import asyncio
import io
import json
import logging as stdlib
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest

from weft import errors, logid
from weft.app import logging


@pytest.fixture(autouse=True)
def _root_as_before() -> Iterator[None]:
    root = stdlib.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], level = before
    root.setLevel(level)


def test_a_json_line_is_one_line_with_its_trace_inside() -> None:
    stream = io.StringIO()
    logging.set_up("info", "json", stream)
    stdlib.getLogger("weft.x").info("two\nlines of %s", "text")
    stdlib.getLogger("weft.x").debug("not shown")
    try:
        raise KeyError("uid")
    except KeyError:
        stdlib.getLogger("weft.x").exception("failed")
    told, failed = map(json.loads, stream.getvalue().splitlines())
    assert told["message"] == "two\nlines of text"
    assert told["level"] == "info"
    assert told["logger"] == "weft.x"
    assert "KeyError" in failed["trace"]


def test_entries_of_one_pod_have_one_id() -> None:
    stream = io.StringIO()
    logging.set_up("info", "json", stream)
    log = stdlib.getLogger("weft.x")
    log.info("about nobody")
    log.info("rows are written", extra=logid.about("uid-1"))

    async def call() -> None:
        logid.current.set("uid-2")
        log.info("ADD done")

    asyncio.run(call())
    log.info("after the call")
    told = [json.loads(line).get("id") for line in stream.getvalue().splitlines()]
    assert told == [None, "uid-1", "uid-2", None]


class Stream(io.StringIO):
    """Keeps what each write wrote."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []

    def write(self, text: str) -> int:
        self.writes.append(text)
        return super().write(text)


def written(stream: Stream) -> list[list[str]]:
    """The messages of each write."""
    return [[json.loads(line)["message"] for line in text.splitlines()] for text in stream.writes]


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> Stream:
    """The stream of the process's log, with a pause that a slow machine does not outlast."""
    monkeypatch.setattr(logging, "PAUSE", 2.0)
    stream = Stream()
    logging.set_up("info", "json", stream)
    return stream


async def log_pods(count: int) -> None:
    for number in range(count):
        stdlib.getLogger("weft.x").info("pod %s", number)


def test_a_burst_of_entries_is_written_together_and_in_order(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_over = asyncio.Event()

    async def burst() -> None:
        await log_pods(100)
        asyncio.get_running_loop().call_later(2.1, is_over.set)  # after the end of the pause
        assert written(stream) == [["pod 0"]], "the first entry after a pause waits for nothing"
        monkeypatch.setattr(logging, "PAUSE", 0.0)  # the pause that runs ends all the same
        async with asyncio.timeout(60):
            await is_over.wait()
        stdlib.getLogger("weft.x").info("later")

    asyncio.run(burst())
    first, together, later = written(stream)
    assert (first, later) == (["pod 0"], ["later"])
    assert together == [f"pod {number}" for number in range(1, 100)]


def test_a_warning_is_written_at_once_with_what_waits(stream: Stream) -> None:
    async def burst() -> None:
        await log_pods(2)
        stdlib.getLogger("weft.x").warning("careful")
        assert written(stream) == [["pod 0"], ["pod 1", "careful"]]

    asyncio.run(burst())


def test_an_entry_after_the_loop_is_written_at_once_with_what_waits(stream: Stream) -> None:
    asyncio.run(log_pods(2))
    stdlib.getLogger("weft.x").info("the end")
    assert written(stream) == [["pod 0"], ["pod 1", "the end"]]


BURST = """
    import asyncio, logging, os, signal
    from weft.app import logging as logs
    from weft.control import loop

    logs.PAUSE = 60.0
    logs.set_up("info", "json")

    async def burst():
        for number in range(100):
            logging.getLogger("weft.x").info("pod %s", number)
        {end}
        await asyncio.sleep(60)

    loop.run(burst)
"""


@pytest.mark.parametrize(
    ("end", "status", "logged"),
    [
        ("raise KeyError('a bug')", 1, 100),
        ("raise SystemExit(3)", 3, 100),
        ("os.kill(os.getpid(), signal.SIGTERM)", 0, 101),
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL, 1),
    ],
)
def test_a_process_that_ends_in_a_burst_has_written_all(end: str, status: int, logged: int) -> None:
    code = textwrap.dedent(BURST).format(end=end)
    done = subprocess.run(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == status
    lines = [line for line in done.stderr.splitlines() if line.startswith("{")]
    assert [json.loads(line)["message"] for line in lines[:100]] == [
        f"pod {number}" for number in range(min(logged, 100))
    ]
    assert len(lines) == logged


def test_a_text_line_names_level_and_place() -> None:
    stream = io.StringIO()
    logging.set_up("warning", "text", stream)
    stdlib.getLogger("weft.x").warning("careful")
    assert "WARNING weft.x: careful" in stream.getvalue()


@pytest.mark.parametrize(("level", "form"), [("loud", "text"), ("info", "xml")])
def test_what_is_unknown_is_refused_with_what_is_known(level: str, form: str) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        logging.set_up(level, form)
    assert "must be one of" in str(caught.value)
