from __future__ import annotations

import errno
import io
import json
import runpy
import sys

import pytest

from weft import errors
from weft.cli import main


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("lab up --output json", True),
        ("lab up -o json", True),
        ("lab up --output=json", True),
        ("lab up", False),
        ("lab up --output text", False),
        ("lab exec node1 -- tool --output json", False),
        ("lab exec --output json node1 -- tool", True),
    ],
)
def test_json_is_wanted(words: str, expected: bool) -> None:
    assert main.wants_json(words.split()) is expected


def run(monkeypatch: pytest.MonkeyPatch, words: str) -> int:
    monkeypatch.setattr("sys.argv", ["weft", *words.split()])
    try:
        return main.main()
    except SystemExit as end:
        return int(end.code or 0)


def test_the_module_ends_with_the_status_of_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["weft", "lab", "up", "--name", "Bad!"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("weft", run_name="__main__")
    assert ended.value.code == 1
    assert "Bad!" in capsys.readouterr().err


def test_help_names_each_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--help") == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in main.COMMANDS)


def test_wrong_arguments_are_told_in_the_form_that_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "lab up --nodes many") == 2
    assert "--nodes" in capsys.readouterr().err
    assert run(monkeypatch, "lab up --nodes many --output json") == 2
    assert "--nodes" in json.loads(capsys.readouterr().out)["error"]


def test_errors_become_one_sentence_and_a_hint(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "lab up --name Bad!") == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert 'name "Bad!"' in shown.err
    assert "Traceback" not in shown.err


def test_surprise_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.delenv("WEFT_DEBUG", raising=False)
    monkeypatch.setattr(main, "application", broken)
    assert run(monkeypatch, "lab up --output json") == 1
    shown = capsys.readouterr()
    assert "boom" in json.loads(shown.out)["error"]
    assert shown.err == ""


def test_failure_says_whether_to_retry(capsys: pytest.CaptureFixture[str]) -> None:
    main.fail(errors.Unavailable("is away", where="daemon", hint="wait"), as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told == {"error": "is away", "where": "daemon", "hint": "wait", "retry": True}


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (KeyboardInterrupt(), 130, ""),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            1,
            "output: cannot be written: no space",
        ),
    ],
)
def test_what_comes_from_without_is_no_surprise(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    status: int,
    told: str,
) -> None:
    def interrupted(_: object) -> None:
        raise error

    monkeypatch.setattr(main, "application", interrupted)
    assert run(monkeypatch, "lab up") == status
    shown = capsys.readouterr().err
    assert told in shown if told else shown == ""
    assert "this should not have happened" not in shown


def test_a_terminal_of_few_characters_gets_question_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    monkeypatch.setattr(main, "application", lambda _: lambda **_: print("a ● b"))
    assert run(monkeypatch, "matrix blue") == 0
    assert written.getvalue() == b"a ? b\n"


def test_defaults_are_shown_of_each_setting_of_a_lab(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "lab up --help") == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for default in ("3", "1500", "as last time", "netdev", "weft", "10.128.0.0/14/23"):
        assert f"[default: {default}]" in shown
