"""Composes the name of the file that holds a container's log, below the folder of `--logs`."""

from __future__ import annotations

import hashlib

LONGEST = 200  # characters; a file's name has 255 bytes at most, and PREVIOUS follows it
PREVIOUS = ".previous"  # follows the name of the log of the container's run before


def name(namespace: str, pod: str, container: str) -> str:
    """`<namespace>_<pod>_<container>.log`; a longer one ends in a digest of it."""
    return shortened(f"{namespace}_{pod}_{container}") + ".log"


def shortened(text: str) -> str:
    """A name for a file, however long the names are that it is made of."""
    if len(text) <= LONGEST:
        return text
    return f"{text[: LONGEST - 11]}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"
