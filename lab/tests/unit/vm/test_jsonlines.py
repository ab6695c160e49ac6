"""Questions to QEMU and its guest agent, and their answers."""

from pathlib import Path

import pytest

from weft import errors
from weft_lab.vm import jsonlines


def test_questions() -> None:
    assert jsonlines.request("cont", {}) == {"execute": "cont"}
    asked = jsonlines.request("guest-exec", {"capture_output": True})
    assert asked == {"execute": "guest-exec", "arguments": {"capture-output": True}}


def test_answers() -> None:
    where = Path("/run/qmp.sock")
    assert jsonlines.value("cont", {"return": {}}, where) == {}
    refusal = {"error": {"class": "GenericError", "desc": "no such device"}}
    with pytest.raises(errors.Unavailable, match=r"qmp\.sock: cont: no such device"):
        jsonlines.value("cont", refusal, where)


def test_refusals_in_other_words_than_qemu_has() -> None:
    where = Path("/run/agent.sock")
    with pytest.raises(errors.Unavailable, match="guest-sync: no"):
        jsonlines.value("guest-sync", {"error": "no"}, where)
    with pytest.raises(errors.Unavailable) as caught:
        jsonlines.value("guest-sync", {"error": {"desc": "x" * 100_000}}, where)
    assert len(str(caught.value)) < 1000
