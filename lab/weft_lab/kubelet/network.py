"""Asks the CNI plugin's STATUS whether the node's network can take pods (CNI 1.1)."""

from __future__ import annotations

import asyncio
import os

from weft import errors
from weft_lab.multus import delegate, plugin

_PATIENCE = 10.0  # seconds for the plugin's answer


class ReportedTrouble:
    """The trouble that the Node reports: once it was found twice in a row, until it is gone."""

    def __init__(self) -> None:
        self.trouble = ""
        self._seen = False

    def changes(self, now: str) -> bool:
        """Whether the Node must report something else; `now` is the trouble that was found."""
        reported = now if self._seen or not now else self.trouble
        self._seen = bool(now)
        has_changed = bool(reported) != bool(self.trouble)
        self.trouble = reported if has_changed else self.trouble
        return has_changed


async def trouble(path: str) -> str:
    """Why the plugin of the default network cannot serve an ADD now; empty if it can.

    `path` names the folders of plugins, as CNI_PATH does.
    """
    chain = delegate.cluster_network()
    (config,) = chain.plugins
    env = {**os.environ, "CNI_COMMAND": "STATUS", "CNI_PATH": path}
    try:
        async with asyncio.timeout(_PATIENCE):
            await plugin.execute(str(config["type"]), delegate.render(chain, config), env)
    except TimeoutError:
        return f"the plugin does not answer within {_PATIENCE:g} s"
    except plugin.Failed as error:
        return error.message
    except errors.WeftError as error:
        return str(error)
    return ""
