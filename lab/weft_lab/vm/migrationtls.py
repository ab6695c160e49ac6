"""Has two QEMUs encrypt what they send each other for a migration: TLS with a key of their own.

Each migration has a key (PSK) that both nodes make of the lab's migration key and the migration's
uid, so it is never sent; with TLS 1.3 the keys of each connection are new besides. QEMU reads it
from a folder of the handler's, by a descriptor: no file of the pod has it, and no name in the pod
leads to it. Where it is set, QEMU refuses a connection without TLS.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from weft import errors
from weft_lab.vm import qmpsession

CLIENT, SERVER = "client", "server"
_PURPOSE = "weft-migration-key"  # of a set of descriptors of QEMU
_USER = "weft"


def key(lab: bytes, migration: str) -> bytes:
    """The key of one migration, by its uid."""
    return hmac.new(lab, b"migration stream\0" + migration.encode(), hashlib.sha256).digest()


def folder(run_folder: Path) -> Path:
    """Where a handler has the keys of migrations under way: not in its machines' folders, which
    pods see."""
    return run_folder.parent / "migration-keys"


def emptied(keys: Path) -> None:
    """Make the folder, for this user alone; keys of a handler that was killed are removed."""
    shutil.rmtree(keys, ignore_errors=True)
    keys.mkdir(mode=0o700, parents=True)


@contextlib.asynccontextmanager
async def encrypted(
    session: qmpsession.Session, secret: bytes, endpoint: str, keys: Path
) -> AsyncIterator[str]:
    """QEMU sends (CLIENT) or receives (SERVER) by TLS alone while the scope lasts.

    Yields the name by which commands use the credentials; `keys` is what `emptied` made. Raises
    Unavailable with QEMU's words, also for a QEMU that has no TLS.
    """
    name = f"tls-{endpoint}"
    user: dict[str, Any] = {"username": _USER} if endpoint == CLIENT else {}
    own = Path(tempfile.mkdtemp(dir=keys))
    try:
        await _take_away(session, name)  # of a handler that was killed
        number = await _pass_key(session, own, secret)
        await session.execute(
            "object-add",
            qom_type="tls-creds-psk",
            id=name,
            dir=f"/proc/self/fd/{number}",
            endpoint=endpoint,
            **user,
        )
        await session.execute("migrate-set-parameters", tls_creds=name)
        yield name
    finally:
        shutil.rmtree(own, ignore_errors=True)
        await _take_away(session, name)


async def _pass_key(session: qmpsession.Session, own: Path, secret: bytes) -> int:
    """The number of QEMU's own descriptor of a folder with the key."""
    open_to_qemu = own / "key"  # QEMU is another user; the folder around it is ours alone
    open_to_qemu.mkdir(mode=0o755)
    file = open_to_qemu / "keys.psk"
    file.write_text(f"{_USER}:{secret.hex()}\n")
    for path, mode in ((open_to_qemu, 0o755), (file, 0o644)):
        path.chmod(mode)  # whatever the umask is
    descriptor = os.open(open_to_qemu, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        number = (await session.add_set(descriptor, _PURPOSE)).get("fd")
    finally:
        os.close(descriptor)
    if type(number) is not int:
        raise errors.Unavailable("QEMU takes no folder for the key of the migration")
    return number


async def _take_away(session: qmpsession.Session, name: str) -> None:
    """Nothing is left of the credentials: a later migration has its own."""
    with contextlib.suppress(errors.Unavailable):  # QEMU has ended, or had none
        await session.execute("object-del", id=name)
        await session.execute("migrate-set-parameters", tls_creds="")
    with contextlib.suppress(errors.Unavailable):
        await session.remove_sets(_PURPOSE)
