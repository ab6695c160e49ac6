"""Makes a command's option from a setting."""

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
