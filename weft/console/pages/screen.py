"""Shows the screen of a virtual machine, as `virtctl vnc` does."""

from __future__ import annotations

from weft.console import libraries, sockets
from weft.console.page import Page
from weft.console.pages import serial

PAGE = Page(
    name="screen",
    path="/machines/{namespace}/{name}/screen",
    heading="Screen of {namespace}/{name}",
    under="machines",
    reads=(),
    view=serial.view,
    sockets={"bytes": sockets.screen},
    scripts=("static/screen.js",),
    libraries=libraries.SCREEN,
)
