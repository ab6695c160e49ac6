"""Writes an OCI image archive: containerd, podman, skopeo and docker load it without a registry."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tools.image.tree import Layer, digest

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True, slots=True)
class Image:
    """`name` with its tag, such as localhost/weft:0.1.0; `when` in seconds since 1970."""

    name: str
    architecture: str
    when: int
    user: str
    entrypoint: Sequence[str]
    layers: Sequence[Layer]
    labels: Mapping[str, str] = field(default_factory=dict)

    def config(self) -> bytes:
        """The image's configuration."""
        created = datetime.fromtimestamp(self.when, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return _json(
            {
                "created": created,
                "architecture": self.architecture,
                "os": "linux",
                "config": {
                    "User": self.user,
                    "Env": ["PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"],
                    "Entrypoint": list(self.entrypoint),
                    "WorkingDir": "/",
                    "Labels": dict(self.labels),
                },
                "rootfs": {"type": "layers", "diff_ids": [each.diff for each in self.layers]},
                "history": [{"created": created, "comment": each.what} for each in self.layers],
            }
        )

    def manifest(self) -> bytes:
        """The manifest, whose digest is the image's."""
        return _json(
            {
                "schemaVersion": 2,
                "mediaType": _MANIFEST,
                "config": _descriptor(_CONFIG, self.config()),
                "layers": [_descriptor(_LAYER, each.blob) for each in self.layers],
            }
        )

    def digest(self) -> str:
        return digest(self.manifest())


def archive(image: Image) -> bytes:
    """The whole archive. `manifest.json` is docker's older index of the same blobs."""
    manifest, config = image.manifest(), image.config()
    tag = image.name.rpartition(":")[2]
    named = {"org.opencontainers.image.ref.name": tag, "io.containerd.image.name": image.name}
    top = _descriptor(_MANIFEST, manifest) | {"annotations": named}
    docker = {
        "Config": _place(config),
        "RepoTags": [image.name],
        "Layers": [_place(each.blob) for each in image.layers],
    }
    files = {
        "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
        "index.json": _json({"schemaVersion": 2, "manifests": [top]}),
        "manifest.json": _json([docker]),
        **{_place(blob): blob for blob in (manifest, config, *(e.blob for e in image.layers))},
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.mode = len(data), image.when, 0o644
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


def _place(blob: bytes) -> str:
    return "blobs/" + digest(blob).replace(":", "/")


def _descriptor(kind: str, blob: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest(blob), "size": len(blob)}


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
