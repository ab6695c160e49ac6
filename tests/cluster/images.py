"""Writes container images as OCI archives, for clusters that reach no registry."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
# The first process of a pod, and of a container without a command: it ends when it is told to.
_PAUSE = "#!/bin/sh\ntrap 'exit 0' TERM INT\nwhile :; do sleep 2147483 & wait $!; done\n"


def busybox(program: Path, name: str, target: Path) -> None:
    """An image of one static busybox and its links, which waits until it is told to end."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for folder in ("bin", "etc", "proc", "sys", "dev", "tmp", "www", "root"):
            _folder(tar, folder, 0o1777 if folder == "tmp" else 0o755)
        _file(tar, "bin/busybox", program.read_bytes(), 0o755)
        _file(tar, "bin/pause", _PAUSE.encode(), 0o755)
        _file(tar, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n", 0o644)
        for applet in _APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    config: dict[str, object] = {
        "Env": ["PATH=/bin"],
        "Entrypoint": ["/bin/pause"],
        "WorkingDir": "/",
    }
    write(layer.getvalue(), config, name, target)


_APPLETS = (
    *("arping", "awk", "cat", "cut", "date", "dd", "dmesg", "echo", "env", "expr", "false", "grep"),
    *("head", "hostname", "httpd", "id", "ifconfig", "ip", "kill", "ln", "ls", "mkdir", "mv", "nc"),
    *("netstat", "ping", "ping6", "printf", "ps", "readlink", "rm", "route", "sed", "seq", "sh"),
    *(
        "sleep",
        "sort",
        "stat",
        "tail",
        "tar",
        "test",
        "timeout",
        "top",
        "touch",
        "tr",
        "traceroute",
    ),
    *("true", "udhcpc", "uname", "uptime", "vi", "wc", "wget", "which", "xargs"),
)


def write(layer: bytes, config: dict[str, object], name: str, target: Path) -> None:
    """An archive of one layer (a tar), for `ctr images import`."""
    image = {
        "architecture": "amd64",
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
    }
    configuration = json.dumps(image).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _describe(configuration, _CONFIG),
            "layers": [_describe(layer, _LAYER)],
        }
    ).encode()
    described: dict[str, object] = {
        **_describe(manifest, _MANIFEST),
        "annotations": {"io.containerd.image.name": name},
    }
    index = json.dumps({"schemaVersion": 2, "manifests": [described]}).encode()
    with tarfile.open(target, "w") as tar:
        _file(tar, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}', 0o644)
        _file(tar, "index.json", index, 0o644)
        for blob in (manifest, configuration, layer):
            _file(tar, f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}", blob, 0o644)


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _describe(data: bytes, kind: str) -> dict[str, object]:
    return {"mediaType": kind, "digest": _digest(data), "size": len(data)}


def _folder(tar: tarfile.TarFile, name: str, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    tar.addfile(entry)


def _file(tar: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    tar.addfile(entry, io.BytesIO(data))
