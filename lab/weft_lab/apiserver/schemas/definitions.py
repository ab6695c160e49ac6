"""Reads the definitions of all built-in types, once, on first use."""

from __future__ import annotations

from functools import cache

from weft_lab.apiserver.schemas import (
    admission,
    cluster,
    container,
    extensions,
    meta,
    notation,
    pod,
    rbac,
    reviews,
    services,
    volume,
    volumesources,
)

META = "io.k8s.apimachinery.pkg.apis.meta.v1"
CORE = "io.k8s.api.core.v1"
RBAC = "io.k8s.api.rbac.v1"
ADMISSION = "io.k8s.api.admissionregistration.v1"
EXTENSIONS = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1"


@cache
def builtin() -> dict[str, notation.Schema]:
    """OpenAPI schemas by full name, shared: callers must not change them."""
    pods = (meta, pod, container, volume, volumesources)
    others = (cluster, services, reviews, rbac, admission, extensions)
    return notation.read(*(part.TEXT for part in (*pods, *others)))


def reference(name: str) -> notation.Schema:
    return {"$ref": notation.PREFIX + name}
