"""Shows the serial console of a virtual machine, as `virtctl console` does."""

from __future__ import annotations

from weft.console import libraries, sockets
from weft.console.page import Page, Question, Reading
from weft.console.pages import machine
from weft.model import ObjectKey


def view(_: Reading, asked: Question) -> ObjectKey:
    """The machine of the path; the socket says whether it runs. Raises InvalidInput."""
    return machine.key_of(asked)


# It reads nothing, so that no update touches the terminal.
PAGE = Page(
    name="serial",
    path="/machines/{namespace}/{name}/serial",
    heading="Serial console of {namespace}/{name}",
    under="machines",
    reads=(),
    view=view,
    sockets={"bytes": sockets.serial},
    scripts=("static/serial.js",),
    styles=("libraries/@xterm/xterm/xterm.css",),
    libraries=libraries.TERMINAL,
    inline_styles=True,
)
