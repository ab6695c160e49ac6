"""Serves a page on the lab's external host `outside`; the page names the address that asked.

The host is outside of the cluster: it sees a pod by its node's gateway address.
"""

from __future__ import annotations

import asyncio
import os
import sys

from aiohttp import web

from weft_lab.service import READY_DESCRIPTOR

PORT = 80
GREETING = "hello from outside"


async def _answer(request: web.Request) -> web.Response:
    print(f"{request.method} {request.path} from {request.remote}", flush=True)
    return web.Response(text=f"{GREETING}, {request.remote}\n")


async def _serve() -> None:
    app = web.Application()
    app.router.add_route("GET", "/{path:.*}", _answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, None, PORT).start()
    os.write(READY_DESCRIPTOR, b"ready\n")
    os.close(READY_DESCRIPTOR)
    await asyncio.Event().wait()


def main() -> int:
    asyncio.run(_serve())
    return 0


if __name__ == "__main__":
    sys.exit(main())
