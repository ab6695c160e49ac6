"""Completion, asked as each shell asks; where a shell is there, by the shell itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent


def weft(*argv: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "weft", *argv],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def in_shell(shell: str, script: str) -> list[str]:
    if shutil.which(shell) is None:
        pytest.skip(f"this machine has no {shell}")
    if not (BIN / "weft").exists():
        pytest.skip("weft is not installed beside this Python")
    done = subprocess.run(
        [shell, *(["--norc"] if shell == "bash" else []), "-c", script],
        env={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


BASH = """
source <(weft completion bash)
COMP_WORDS=({typed})
COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_weft_completion weft
echo "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("weft topo", "topology"),
        ("weft topology --netw", "--network"),
        ("weft doctor m", "machine"),
        ("weft completion f", "fish"),
    ],
)
def test_bash_completes(typed: str, offered: str) -> None:
    assert in_shell("bash", BASH.format(typed=typed)) == [offered]


def test_fish_completes() -> None:
    script = "weft completion fish | source; complete -C 'weft topology --netw'"
    assert in_shell("fish", script)[0] == "--network"


def test_zsh_knows_what_completes_weft() -> None:
    script = "autoload -Uz compinit; compinit -D; source <(weft completion zsh); echo $_comps[weft]"
    assert in_shell("zsh", script) == ["_weft_completion"]


@pytest.mark.parametrize("typed", ["weft matrix --ip", "weft check --na"])
def test_what_zsh_and_fish_ask(typed: str) -> None:
    asked = {"_WEFT_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": typed}
    script = weft(**asked)
    assert script.startswith("_arguments ")
    assert typed.split()[-1] in script


def test_a_command_that_is_none_offers_nothing() -> None:
    asked = {"_WEFT_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "weft nothing --x"}
    assert "--" not in weft(**asked)
