"""Executes a CNI plugin, as libcni does.

It sets the plugin's variables, finds the plugin in CNI_PATH, and reads its exit status and error.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from weft import errors
from weft.host import process

# Longer than the plugin's own timeout, so that the plugin's error is reported.
PATIENCE = 150.0


@dataclass(frozen=True, slots=True)
class Sandbox:
    """The pod's namespace and identity, as every call names it."""

    id: str
    netns: str
    namespace: str
    pod: str
    uid: str


class Failed(errors.WeftError):
    """The plugin's error: its code, message and details."""

    def __init__(self, type: str, code: int, message: str, details: str = "") -> None:
        super().__init__(f'plugin type="{type}" failed: {message}', hint=details)
        self.code = code
        self.message = message
        self.retry = True


def variables(
    command: str, sandbox: Sandbox, interface: str, path: str, base: Mapping[str, str]
) -> dict[str, str]:
    """The environment: the caller's own, and the specification's variables."""
    args = {
        "IgnoreUnknown": "true",
        "K8S_POD_NAMESPACE": sandbox.namespace,
        "K8S_POD_NAME": sandbox.pod,
        "K8S_POD_INFRA_CONTAINER_ID": sandbox.id,
        "K8S_POD_UID": sandbox.uid,
    }
    return {
        **base,
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": sandbox.id,
        "CNI_NETNS": sandbox.netns,
        "CNI_IFNAME": interface,
        "CNI_ARGS": ";".join(f"{key}={value}" for key, value in args.items()),
        "CNI_PATH": path,
    }


def find(type: str, path: str) -> str:
    """The executable of a plugin type, in libcni's words when there is none."""
    for folder in path.split(":"):
        candidate = Path(folder, type)
        if "/" not in type and candidate.is_file() and os.access(candidate, os.X_OK):
            return str(candidate)
    raise Failed(type, 0, f'failed to find plugin "{type}" in path [{path}]')


async def execute(type: str, config: bytes, env: Mapping[str, str]) -> dict[str, Any]:
    """Run the plugin; what it printed, an empty object if nothing."""
    argv = [find(type, env["CNI_PATH"])]
    done = await process.run(argv, data=config, env=env, timeout=PATIENCE, check=False)
    try:
        answer = orjson.loads(done.stdout) if done.stdout.strip() else {}
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise Failed(type, 0, f"printed something that is not a JSON object: {done.stdout[:200]!r}")
    if done.status == 0:
        return answer
    stderr = done.stderr.decode(errors="replace").strip()
    message = str(answer.get("msg") or stderr or f"ended with status {done.status}")
    raise Failed(type, int(answer.get("code") or 0), message, str(answer.get("details") or ""))
