"""How does a program inside a lab take orders? JSON, one a line of input, each with one line of
answer: what `do_<op>` returned, or what went wrong."""

from __future__ import annotations

import json
import sys
from typing import Any


def obey(program: object) -> None:
    """Until the input ends."""
    for line in sys.stdin:
        order = json.loads(line)
        try:
            said: dict[str, Any] = {"done": getattr(program, "do_" + order.pop("op"))(**order)}
        except Exception as error:
            said = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(said), flush=True)
