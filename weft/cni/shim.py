"""Passes a CNI call from the container runtime to the node agent, and its answer back.

It answers only VERSION, and errors when no agent answers, by itself. A runtime starts this file for
every call of every pod, so each import costs: it uses only modules built into the interpreter, and
`json` for those answers. It imports nothing of weft, because it is installed as one file
(`weft.cni.install`); `weft.cni.wire` is the agent's side of its messages. Hosts without Python get
`deploy/plugin`, which does the same.
"""

import sys
from _socket import AF_UNIX, SO_SNDTIMEO, SOCK_STREAM, SOL_SOCKET, socket
from posix import _exit, environ, read, write

SOCKET = b"/run/weft/cni.sock"
SOCKET_VARIABLE = b"WEFT_CNI_SOCKET"
VERSIONS = ("0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
MAX_REQUEST = 4 << 20
TRY_LATER = 11
UNAVAILABLE = 50
# struct timeval: an agent that accepts no bytes for this long hangs.
SEND_TIMEOUT = (10).to_bytes(8, sys.byteorder) + bytes(8)


def read_all(fd: int) -> bytes:
    """Reads to the end, or until more bytes than the agent accepts."""
    chunks = []
    size = 0
    while size <= MAX_REQUEST:
        chunk = read(fd, 65536)
        if not chunk:
            break
        chunks.append(chunk)
        size += len(chunk)
    return b"".join(chunks)


def write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[write(fd, data) :]


def frame_request(env: dict[bytes, bytes], config: bytes) -> bytes:
    """Returns a request: one line with both lengths, the CNI variables, the configuration."""
    pairs = b"".join(
        key + b"=" + value + b"\0" for key, value in env.items() if key.startswith(b"CNI_")
    )
    return b"weft-cni 1 %d %d\n" % (len(pairs), len(config)) + pairs + config


def exchange(path: bytes, request: bytes) -> tuple[int, bytes]:
    """Returns the agent's exit status and output; raises OSError without a complete answer."""
    sock = socket(AF_UNIX, SOCK_STREAM)
    sock.setsockopt(SOL_SOCKET, SO_SNDTIMEO, SEND_TIMEOUT)
    sock.connect(path)
    try:
        sock.sendall(request)
    except BrokenPipeError:
        # The agent may refuse a request before it has read all of it: its answer says why.
        pass
    chunks = []
    while chunk := sock.recv(65536):
        chunks.append(chunk)
    head, line_end, body = b"".join(chunks).partition(b"\n")
    fields, size = head.split(b" "), b"%d" % len(body)
    if not line_end or fields not in ([b"0", size], [b"1", size]):
        raise OSError(0, "it closed the connection before it had answered in full")
    return int(fields[0]), body


def config_version(config: bytes) -> str:
    """Returns the configuration's version of the specification, or the newest known."""
    import json

    try:
        version = json.loads(config)["cniVersion"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return VERSIONS[-1]
    return version if version in VERSIONS else VERSIONS[-1]


def answer_version(config: bytes) -> bytes:
    """Answers VERSION without an agent: installers call it before one runs."""
    import json

    answer = {"cniVersion": config_version(config), "supportedVersions": VERSIONS}
    return json.dumps(answer).encode()


def answer_failure(config: bytes, code: int, path: bytes, why: str) -> bytes:
    """Returns the CNI error for a call that no agent answers."""
    import json

    answer = {
        "cniVersion": config_version(config),
        "code": code,
        "msg": f"weft's node agent does not answer at {path.decode(errors='replace')}: {why}",
        "details": "Start `weft node` on this node, or see its log for why it ended; "
        "the runtime tries again by itself.",
    }
    return json.dumps(answer).encode()


def main() -> int:
    """Serves one call; returns the exit status."""
    env: dict[bytes, bytes] = environ
    command = env.get(b"CNI_COMMAND", b"")
    config = read_all(0)
    if command == b"VERSION":
        write_all(1, answer_version(config))
        return 0
    path = env.get(SOCKET_VARIABLE) or SOCKET
    try:
        status, body = exchange(path, frame_request(env, config))
    except (OSError, ValueError) as error:
        code = UNAVAILABLE if command == b"STATUS" else TRY_LATER
        why = getattr(error, "strerror", None) or str(error)
        write_all(1, answer_failure(config, code, path, why))
        return 1
    write_all(1, body)
    return status


if __name__ == "__main__":
    # Exit without the interpreter's teardown: there is nothing to flush.
    _exit(main())
