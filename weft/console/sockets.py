"""Joins a browser's WebSocket to a console of a virtual machine, with the viewer's rights.

KubeVirt serves consoles below its API of subresources, as WebSockets that carry plain bytes. What a
guest sends is passed on as it is: xterm.js and noVNC interpret it in the browser.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from aiohttp import ClientWebSocketResponse, WSMessage, WSMsgType, web

from weft import errors
from weft.console.page import Question
from weft.console.pages import machine
from weft.kube import resources
from weft.kube.client import ApiError, Client, NotFound, Unreachable
from weft.model import ObjectKey

PROTOCOL = "plain.kubevirt.io"
LONGEST = 1 << 20  # bytes of a message from the API server
PATIENCE, _PAUSE = 5.0, 0.5  # seconds until a machine that has ended is known as such
_OVER = ("Succeeded", "Failed")
_STOPPED = "the machine has stopped"
_TAKEN = "the other side has ended it: the machine has moved, or somebody else has opened it"
_DATA = (WSMsgType.BINARY, WSMsgType.TEXT)
_RIGHT = f"get {resources.VMIS.plural}/{{}} of {machine.GROUP}"
# What KubeVirt's refusals mean; the answer to a WebSocket that is refused has no words.
_REFUSALS: Mapping[int, str] = {
    400: "the machine has no such device",
    403: f"you lack the right to {_RIGHT}",
    404: "there is no such running machine, or the cluster does not serve its consoles",
    409: "the machine is not running",
}


class Refused(errors.WeftError):
    """The API server does not open the console."""


class Ended(errors.WeftError):
    """The machine's side has ended the console."""


async def serial(client: Client, asked: Question, browser: web.WebSocketResponse) -> None:
    """Join the serial console until it ends; raises Refused, Ended, and Unreachable for a way
    that was cut."""
    await _join(client, asked, browser, "console")


async def screen(client: Client, asked: Question, browser: web.WebSocketResponse) -> None:
    """Join the screen, by the protocol RFB (RFC 6143); raises as `serial` does."""
    await _join(client, asked, browser, "vnc")


async def _join(client: Client, asked: Question, browser: web.WebSocketResponse, verb: str) -> None:
    key = machine.key_of(asked)
    path = machine.subresource(resources.VMIS.plural, key, verb)
    where = f"VirtualMachineInstance {key}"
    try:
        async with client.websocket(path, protocol=PROTOCOL, longest=LONGEST, where=where) as guest:
            await _exchange(browser, guest)
        if not browser.closed:
            raise Ended(await _ending(client, key), where=where)
    except Unreachable:
        raise
    except ApiError as error:
        text = _REFUSALS.get(error.status, error.what).format(verb)
        raise Refused(text, where=where) from error


async def _ending(client: Client, key: ObjectKey) -> str:
    """Why the machine's side has ended. Its phase comes later than the end; how the WebSocket was
    closed says nothing: KubeVirt drops it. Raises Unreachable."""
    loop = asyncio.get_running_loop()
    limit = loop.time() + PATIENCE
    while True:
        try:
            found = await client.get(resources.VMIS, key.name, key.namespace)
        except NotFound:
            return _STOPPED
        except Unreachable:
            raise
        except ApiError:
            return _TAKEN
        is_over = (found.get("status") or {}).get("phase") in _OVER
        if is_over or found["metadata"].get("deletionTimestamp"):
            return _STOPPED
        if loop.time() > limit:
            return _TAKEN
        await asyncio.sleep(_PAUSE)


async def _exchange(browser: web.WebSocketResponse, guest: ClientWebSocketResponse) -> None:
    """Carry bytes both ways until one side ends. Who receives slowly slows the other down: each
    message is sent before the next one is read."""
    ways = {
        asyncio.create_task(_carry(browser, guest)),
        asyncio.create_task(_carry(guest, browser)),
    }
    try:
        done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()
    finally:
        for each in ways:
            each.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _carry(
    source: AsyncIterator[WSMessage], to: web.WebSocketResponse | ClientWebSocketResponse
) -> None:
    async for message in source:
        if message.type in _DATA:
            data = message.data.encode() if isinstance(message.data, str) else message.data
            try:
                await to.send_bytes(data)
            except ConnectionError:
                return  # it has gone
