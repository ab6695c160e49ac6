from __future__ import annotations

import errno
import io
import json
import runpy
import sys

import pytest

from tests.support.command import run
from weft import errors
from weft.cli import labs, main
from weft.kube import errors as kube


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


def test_the_module_ends_with_the_status_of_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["weft", "matrix", "a", "--port", "bad!"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("weft", run_name="__main__")
    assert ended.value.code == 1
    assert "bad!" in capsys.readouterr().err


def test_help_names_each_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--help") == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in main.COMMANDS)


def test_wrong_arguments_are_reported_in_the_form_that_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "matrix a --patience many") == 2
    assert "--patience" in capsys.readouterr().err
    assert run(monkeypatch, "matrix a --patience many --output json") == 2
    assert "--patience" in json.loads(capsys.readouterr().out)["error"]


def test_what_the_api_server_refuses_ends_a_command_with_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The code of its answer is none of ours, and 404 would become 148."""

    def refused(argv: object, as_json: bool) -> int:
        raise kube.NotFound(404, "NotFound", "it is not there")

    monkeypatch.setattr(main, "_run", refused)
    assert run(monkeypatch, "matrix a") == 1
    assert "it is not there" in capsys.readouterr().err


def test_errors_become_one_sentence_and_a_hint(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "matrix a --port bad!") == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert '--port "bad!"' in shown.err
    assert "Traceback" not in shown.err


def test_surprise_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.delenv("WEFT_DEBUG", raising=False)
    monkeypatch.setattr(main, "application", broken)
    assert run(monkeypatch, "matrix a --output json") == 1
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
    assert run(monkeypatch, "matrix a") == status
    shown = capsys.readouterr().err
    assert told in shown if told else shown == ""
    assert "this is a bug in weft" not in shown


def test_a_terminal_of_few_characters_gets_question_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    monkeypatch.setattr(main, "application", lambda _: lambda **_: print("a ● b"))
    assert run(monkeypatch, "matrix blue") == 0
    assert written.getvalue() == b"a ? b\n"


@pytest.mark.parametrize("command", labs.OWN_COMMANDS)
def test_a_command_of_the_lab_says_which_package_has_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    monkeypatch.setattr(labs, "commands", dict)
    assert run(monkeypatch, command) == 1
    assert capsys.readouterr().err == (
        f"Error: weft {command} is in the package weft-lab, which is not installed\n"
        "  pip install weft-lab\n"
    )


def test_a_command_of_another_package_is_listed_and_called(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(labs, "commands", lambda: {"other": ("weft.cli.check", "From elsewhere.")})
    assert run(monkeypatch, "--help") == 0
    assert "From elsewhere." in capsys.readouterr().out
    assert run(monkeypatch, "other --help") == 0
    assert "--underlay-mtu" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("hint", "shown"),
    [
        ("weft lab up --name x", "'/my venv/bin/weft' lab up --name x"),
        ("run weft as root", "run weft as root"),
        ("set KUBECONFIG, or weft topology", "set KUBECONFIG, or '/my venv/bin/weft' topology"),
    ],
)
def test_hints_show_the_command_as_it_was_called(
    hint: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/my venv/bin/weft"])
    assert main.pasteable(hint) == shown
