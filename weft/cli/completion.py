"""Prints the completion script of a shell: `weft completion`; and parses what the user has
typed."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Annotated

import typer
from typer import completion

# A shell asks `weft` itself, by these variables, for what may come next. bash falls back to files
# by `-o default`, fish by the condition that there is nothing else.
_BASH = r"""
_weft_completion() {
    local IFS=$'\n'
    COMPREPLY=( $(env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD="$COMP_CWORD" \
        _WEFT_COMPLETE=complete_bash "$1" 2>/dev/null) )
}
complete -o default -F _weft_completion weft
"""
_ZSH = r"""
#compdef weft
_weft_completion() {
    eval "$(env _TYPER_COMPLETE_ARGS="${(pj: :)words[1,CURRENT]}" \
        _WEFT_COMPLETE=complete_zsh "${words[1]}" 2>/dev/null)"
}
compdef _weft_completion weft
"""
_FISH = r"""
function _weft_completion
    env _WEFT_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION=$argv[1] \
        _TYPER_COMPLETE_ARGS=(commandline -cp) (commandline -opc)[1] 2>/dev/null
end
complete --command weft --no-files --condition '_weft_completion is-args' \
    --arguments '(_weft_completion get-args)'
"""


class Shell(StrEnum):
    bash = "bash"
    zsh = "zsh"
    fish = "fish"


SCRIPTS = {Shell.bash: _BASH, Shell.zsh: _ZSH, Shell.fish: _FISH}


def command(
    name: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
) -> None:
    """Print the script with which a shell completes weft's commands and options.

    bash: source <(weft completion bash)

    zsh: source <(weft completion zsh), after compinit

    fish: weft completion fish | source

    Add the line to the shell's start-up file to have completion in every shell.
    """
    typer.echo(SCRIPTS[name].strip())


def typed() -> list[str]:
    """The arguments that a shell wants completed, as far as they are typed."""
    completion.get_completion_inspect_parameters()  # makes typer know the shells
    line = os.environ.get("_TYPER_COMPLETE_ARGS") or os.environ.get("COMP_WORDS", "")
    return line.split()[1:]
