"""How does a setting become an option of a command? The record says all; here it meets typer."""

from __future__ import annotations

from typing import Any

import typer

from weft.app.settings import Setting


def option(setting: Setting[Any]) -> Any:
    """For `Annotated[type, option(settings.NAME)] = settings.NAME.default`."""
    return typer.Option(
        setting.flag,
        envvar=setting.env,
        help=setting.help,
        metavar=setting.metavar or None,
        show_default=setting.default not in ("", False),
    )
