"""The files of an image in memory, and the tar layer of them: the same files, the same layer."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True, slots=True)
class File:
    """One file, or a symbolic link if `link` says where to."""

    data: bytes = b""
    mode: int = 0o644
    link: str = ""


Tree = Mapping[str, File]  # by path from the root, without a leading slash


def read(root: Path, paths: Iterable[str]) -> dict[str, File]:
    """The files at these paths below `root`; of a folder all that is in it."""
    found: dict[str, File] = {}
    for name in paths:
        path = root / name
        inside = sorted(path.rglob("*")) if path.is_dir() and not path.is_symlink() else [path]
        for each in inside:
            mode = each.lstat().st_mode
            key = str(each.relative_to(root))
            if stat.S_ISLNK(mode):
                found[key] = File(link=os.readlink(each))
            elif stat.S_ISREG(mode):
                found[key] = File(each.read_bytes(), 0o755 if mode & 0o111 else 0o644)
    return found


def write(root: Path, tree: Tree) -> None:
    """Lay the files out below `root`."""
    for name, file in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if file.link:
            path.symlink_to(file.link)
        else:
            path.write_bytes(file.data)
            path.chmod(file.mode)


def size(tree: Tree) -> int:
    """Bytes of all files, unpacked."""
    return sum(len(file.data) for file in tree.values())


@dataclass(frozen=True, slots=True)
class Layer:
    """A compressed layer; `diff` is the digest of what is in it, uncompressed."""

    what: str
    blob: bytes
    digest: str
    diff: str
    unpacked: int


def layer(what: str, tree: Tree, when: int, folders: Mapping[str, int] | None = None) -> Layer:
    """`when`: seconds since 1970, the age of all files. `folders`: modes of those that differ."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as archive:
        modes = dict.fromkeys(_parents([*tree, *(folders or {})]), 0o755) | dict(folders or {})
        for name in sorted({*modes, *tree}):
            archive.addfile(*_member(name, tree.get(name), modes.get(name, 0), when))
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=packed, mode="wb", compresslevel=6, mtime=0) as file:
        file.write(plain.getvalue())
    blob = packed.getvalue()
    return Layer(what, blob, digest(blob), digest(plain.getvalue()), size(tree))


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _parents(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        for parent in PurePosixPath(name).parents:
            if str(parent) != ".":
                yield str(parent)


def _member(
    name: str, file: File | None, mode: int, when: int
) -> tuple[tarfile.TarInfo, io.BytesIO | None]:
    """Owned by root, of one age: nothing of the machine that builds it."""
    member = tarfile.TarInfo(name)
    member.mtime = when
    if file is None:
        member.type, member.mode = tarfile.DIRTYPE, mode
        return member, None
    if file.link:
        member.type, member.linkname, member.mode = tarfile.SYMTYPE, file.link, 0o777
        return member, None
    member.size, member.mode = len(file.data), file.mode
    return member, io.BytesIO(file.data)
