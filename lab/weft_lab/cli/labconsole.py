"""Serves a lab's console in the background, until the lab ends.

`weft demo` starts it. It is a process of its own, on the host's loopback: the lab's network has no
way to a browser. It ends with the lab's first process; `weft lab stop` and `down` end it before.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys

from weft import errors
from weft.cli import clusters, console
from weft.console import server
from weft_lab import consolerecord, state
from weft_lab.runtime import pythonpath

_LOG = "console"


def start(name: str) -> str:
    """The address of the lab's console, which is started if none serves it. Raises Unavailable."""
    folder = state.Folder.of(name)
    if found := consolerecord.address(folder):
        return found
    with open(folder.log(_LOG), "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, "PYTHONPATH": pythonpath.value(os.environ.get("PYTHONPATH"))},
            start_new_session=True,
            cwd="/",
            text=True,
        )
    assert process.stdout is not None
    with process.stdout as answer:
        address = answer.readline().strip()
    if not address:
        process.wait()
        if found := consolerecord.address(folder):  # of another command that did the same
            return found
        raise errors.Unavailable(
            f"its console ended at once: {folder.last_words(_LOG)}",
            where=f"lab {name!r}",
            hint=f"see {folder.log(_LOG)}",
        )
    process.returncode = 0  # it goes on without this command
    return address


def main() -> None:
    """Serve the console of the lab that the command line names."""
    name = sys.argv[1]
    folder = state.Folder.of(name)
    peer = folder.connect()
    if peer is None:
        sys.exit(f"lab {name!r} is not running")
    with peer, consolerecord.serving(folder) as is_first:
        if not is_first:
            sys.exit("another console serves this lab")
        lab = os.pidfd_open(peer.pid)
        try:
            asyncio.run(_serve(name, folder, lab))
        except errors.WeftError as error:
            sys.exit(error.in_full())
        finally:
            os.close(lab)


async def _serve(name: str, folder: state.Folder, lab: int) -> None:
    """Until the process `lab` ends, or somebody ends this one."""
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(lab, ended.set)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)

    def announce(address: str) -> None:
        with contextlib.suppress(FileNotFoundError):  # the lab's folder is being removed
            consolerecord.write(folder, address)
        if sys.stdout is not None and not sys.stdout.closed:
            print(address, flush=True)
            sys.stdout.close()  # whoever waits for it reads no more
            os.dup2(2, 1)

    cluster = clusters.choose("", "", name)
    nodes = console.ClusterNodes(cluster)
    connect = server.connector(cluster.existing(), cluster.context)
    await server.serve(server.Settings(connect, nodes=nodes, lab=nodes), announce, ended)
    loop.remove_reader(lab)


if __name__ == "__main__":
    main()
