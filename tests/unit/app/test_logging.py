from __future__ import annotations

import asyncio
import io
import json
import logging as stdlib
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
