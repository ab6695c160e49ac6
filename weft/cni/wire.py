"""Parses and renders the messages between the CNI plugin and the node agent, on the agent's side.

Pure. `weft.cni.shim` has its own code for the other side, because it is installed as a single file;
tests check that both agree.

Request: ``weft-cni 1 <bytes of env> <bytes of config>\\n``, then the CNI variables as
``NAME=value\\0`` pairs, then what the runtime wrote to standard input. Reply: ``<exit status>
<bytes of output>\\n``, then what the plugin writes to standard output; then the agent closes.
"""

from __future__ import annotations

from typing import NamedTuple

MAX_ENV = 1 << 20
MAX_CONFIG = 4 << 20


class Malformed(Exception):
    """A request breaks the protocol, or exceeds the agent's limits."""


class Head(NamedTuple):
    """The sizes in a request's first line."""

    env: int
    config: int


def parse_head(line: bytes) -> Head:
    """Parses a request's first line; raises Malformed."""
    fields = line.split()
    if len(fields) != 4 or fields[0] != b"weft-cni" or not line.endswith(b"\n"):
        raise Malformed("the request does not begin with weft-cni's own first line")
    if fields[1] != b"1":
        version = fields[1].decode(errors="replace")
        raise Malformed(f"the plugin speaks version {version} of the protocol, the agent 1")
    if not (fields[2].isdigit() and fields[3].isdigit()):
        raise Malformed("the request's sizes are not numbers")
    head = Head(int(fields[2]), int(fields[3]))
    if head.env > MAX_ENV or head.config > MAX_CONFIG:
        raise Malformed(
            f"the request holds {head.env} bytes of variables and {head.config} of configuration;"
            f" at most {MAX_ENV} and {MAX_CONFIG} are accepted"
        )
    return head


def parse_env(data: bytes) -> dict[str, str]:
    """Parses the CNI variables; bytes that are not UTF-8 become replacement characters."""
    pairs = (pair.partition(b"=") for pair in data.split(b"\0") if pair)
    return {key.decode(errors="replace"): value.decode(errors="replace") for key, _, value in pairs}


def frame_reply(status: int, body: bytes) -> bytes:
    """Renders a reply: exit status and output."""
    return b"%d %d\n" % (status, len(body)) + body
