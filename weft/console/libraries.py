"""Finds the libraries that pages load in the browser; `bootstrap.py` puts them there with npm.

Without them every other page and form works, but no page is updated while it is open, and a
machine's serial console and screen are not there; each page says what it lacks.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent / "libraries"
LIVE = ("htmx.org/htmx.min.js", "htmx-ext-sse/sse.min.js", "idiomorph/idiomorph-ext.min.js")
TERMINAL = ("@xterm/xterm/xterm.js", "@xterm/xterm/xterm.css", "@xterm/addon-fit/addon-fit.js")
SCREEN = ("@novnc/novnc/core/rfb.js",)


def missing(files: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the files that are not installed."""
    return tuple(file for file in files if not (FOLDER / file).is_file())
