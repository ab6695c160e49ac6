"""A real ovsdb-server in a folder of its own, with a fresh database of a given schema."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.patience import PATIENCE

if TYPE_CHECKING:
    from weft_lab.runtime.toolchain import Toolchain


class Server:
    """Runs from `start` to `stop`; `address` stays the same, and so does the database file."""

    def __init__(self, toolchain: Toolchain, schema: Path, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "db"
        self.address = f"unix:{folder}/s"
        self._schema = schema
        self._bin = toolchain.bin
        self._env = {**os.environ, **toolchain.env}
        self.pid = 0

    def create(self) -> None:
        self._run("ovsdb-tool", "create", str(self.database), str(self._schema))

    def start(self) -> None:
        """Return when it listens: a detaching daemon lets go of its parent only then."""
        self._run(
            "ovsdb-server",
            "-vconsole:off",
            f"--remote=punix:{self.folder}/s",
            f"--unixctl={self.folder}/c",
            f"--pidfile={self.folder}/pid",
            f"--log-file={self.folder}/log",
            "--detach",
            "--no-chdir",
            str(self.database),
        )
        self.pid = int((self.folder / "pid").read_text())

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it, and return when it is gone: it is no child of ours, so the kernel is asked."""
        if not self.pid:
            return
        process = os.pidfd_open(self.pid)
        try:
            signal.pidfd_send_signal(process, how)
            assert select.select([process], [], [], PATIENCE)[0], "ovsdb-server does not end"
        finally:
            os.close(process)
            self.pid = 0

    def listen_on_tcp(self) -> str:
        """Have it listen on a free port of the loopback too; the address."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        remote = f"ptcp:{port}:127.0.0.1"
        appctl = ("ovs-appctl", "-t", f"{self.folder}/c")
        self._run(*appctl, "ovsdb-server/add-remote", remote)
        # It listens from its next turn on, and answers this one after that.
        self._run(*appctl, "ovsdb-server/list-remotes")
        return f"tcp:127.0.0.1:{port}"

    def transact(self, database: str, *operations: object) -> None:
        """Another client's transaction, done when this returns and with no loop running."""
        request = json.dumps([database, *operations])
        self._run("ovsdb-client", "transact", self.address, request)

    def _run(self, program: str, *args: str) -> None:
        command = [str(self._bin / program), *args]
        subprocess.run(command, env=self._env, check=True, stdout=subprocess.DEVNULL)


@pytest.fixture
def ovsdb(toolchain: Toolchain) -> Iterator[Callable[[str], Server]]:
    """Make running servers by schema name: "ovn-nb", "ovn-sb", "vswitch"."""
    with ExitStack() as stack:

        def start(schema: str) -> Server:
            # Not tmp_path: a socket's path has 108 characters at most.
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weft-")))
            server = Server(toolchain, toolchain.schema(schema), folder)
            server.create()
            server.start()
            stack.callback(server.stop)
            return server

        yield start
