"""Answers one order on standard input for as long as somebody waits for the answer.

Order and answer are one JSON object each, a line on standard input and output. Who asked has gone
when either of these ends before the answer: `kubectl exec` that is killed leaves its program on the
node, where nobody would end it. Then nothing is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

_LONGEST_ORDER = 1 << 16  # bytes

Order = Mapping[str, Any]


async def serve(answer: Callable[[Order], Awaitable[Order]]) -> None:
    """Prints what `answer` makes of the order, unless who asked goes before."""
    loop = asyncio.get_running_loop()
    reader, gone = asyncio.StreamReader(_LONGEST_ORDER), asyncio.Event()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    order = json.loads(await reader.readline())
    with contextlib.suppress(PermissionError):  # a file does not go
        loop.add_reader(sys.stdout.fileno(), gone.set)  # a pipe whose reader has closed it
    answering = asyncio.ensure_future(answer(order))
    ends = [loop.create_task(gone.wait()), loop.create_task(reader.read(1))]
    await asyncio.wait([answering, *ends], return_when=asyncio.FIRST_COMPLETED)
    for each in (answering, *ends):
        each.cancel()
    await asyncio.wait([answering, *ends])
    if not answering.cancelled():
        print(json.dumps(answering.result()))
