"""How does a program inside a lab take orders? JSON, one a line of input, each with one line of
answer: what `do_<op>` returned, or what went wrong."""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def obey(program: object) -> None:
    """Until the input ends."""
    for line in sys.stdin:
        order = json.loads(line)
        try:
            done = carry_out(program, order)
        except Exception as error:
            print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
        else:
            answer(done)


def carry_out(program: object, order: dict[str, Any]) -> Any:
    return getattr(program, "do_" + order.pop("op"))(**order)


def answer(done: Any) -> None:
    print(json.dumps({"done": done}), flush=True)


class Inbox:
    """Orders as they come, for a program that has more to do than to wait for them."""

    def __init__(self) -> None:
        self._rest = b""

    def take(self) -> list[dict[str, Any]]:
        """Those that are there, of which the input has told; its end is the program's."""
        data = os.read(0, 1 << 16)
        if not data:
            sys.exit()
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines]
