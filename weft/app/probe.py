"""Asks a daemon of OVS or OVN at its control socket, for a container's readiness probe.

`python3 -m weft.app.probe SOCKET COMMAND [ANSWER]`: exit status 0 if a daemon answers, and the
answer has a line ANSWER. SOCKET may be a pattern (glob(7)), since names contain PIDs; one that
answers is enough. ovs-appctl(8) does not judge answers, and finds no daemon of another PID
namespace, such as the host's switch. It imports little: kubelet starts it every few seconds.
"""

from __future__ import annotations

import glob
import json
import socket
import sys

PATIENCE = 4.0  # seconds
LARGEST = 1 << 16  # bytes of an answer


def main(arguments: list[str]) -> int:
    pattern, command, *expected = arguments
    for path in glob.glob(pattern) or [pattern]:
        try:
            answer = ask(path, command)
        except (OSError, ValueError, KeyError, TypeError) as error:
            print(f"{path}: {command}: {error}")
            continue
        print(answer.strip())
        if set(expected) <= set(answer.splitlines()):
            return 0
    return 1


def ask(path: str, command: str) -> str:
    """Returns the daemon's answer; raises OSError or ValueError if there is none."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(path)
        connection.sendall(json.dumps({"id": 0, "method": command, "params": []}).encode())
        received = b""
        while len(received) < LARGEST and (data := connection.recv(LARGEST)):
            received += data
            try:
                answer = json.loads(received)
            except ValueError:  # incomplete so far
                continue
            if answer["error"] is not None:
                raise ValueError(str(answer["error"]).strip())
            return str(answer["result"])
    raise ValueError("closed without an answer")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
