"""Finds the API server and the credentials for it: a kubeconfig, or the service account.

It reads a kubeconfig or a pod's service account into an Endpoint; it opens no connection.
"""

from __future__ import annotations

import base64
import functools
import os
import ssl
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from weft import errors
from weft.decode import budget, yamltext

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`server` is http(s)://host:port, or unix:///path for a local socket.

    `make_tls` raises InvalidInput if the files are invalid.
    """

    server: str
    tls: ssl.SSLContext | None = None
    token: str = field(default="", repr=False)
    token_file: str = ""
    namespace: str = "default"
    server_name: str = ""  # the name in the server's certificate, if not the host of `server`
    make_tls: Callable[[], ssl.SSLContext] | None = None  # reads the files again on each call
    tls_files: tuple[str, ...] = ()


def load(path: str | None, context: str = "") -> Endpoint:
    """The endpoint of a kubeconfig's `context` (empty: the current one), or of this pod's cluster.

    With several files in $KUBECONFIG, the first that has the context counts, and the first that
    names a current context decides which that is. Raises InvalidInput.
    """
    if path is None:
        return in_cluster()
    files = [Path(part).expanduser() for part in path.split(os.pathsep) if part]
    if len(files) < 2:
        return from_file(Path(path).expanduser(), context)
    documents = [(file, _document(file)) for file in files if file.exists()]
    current = (str(document.get("current-context") or "") for _, document in documents)
    context = context or next((name for name in current if name), "")
    for file, document in documents:
        listed = document.get("contexts")
        entries = listed if isinstance(listed, list) else []
        if any(isinstance(entry, dict) and entry.get("name") == context for entry in entries):
            return from_document(document, file, context)
    raise errors.InvalidInput(f"kubeconfig {path}", "contexts", context, "is in none of the files")


def in_cluster(root: Path = SERVICE_ACCOUNT) -> Endpoint:
    host = os.environ.get("KUBERNETES_SERVICE_HOST")
    if not host:
        raise errors.InvalidInput(
            "in-cluster configuration",
            "KUBERNETES_SERVICE_HOST",
            None,
            "is not set, so this does not run in a pod",
            hint="name a kubeconfig file with --kubeconfig",
        )
    port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    host = f"[{host}]" if ":" in host else host
    namespace, authority = root / "namespace", root / "ca.crt"
    make_tls = functools.partial(_trusting, authority)
    return Endpoint(
        server=f"https://{host}:{port}",
        tls=make_tls(),
        make_tls=make_tls,
        tls_files=(str(authority),),
        token_file=str(root / "token"),
        namespace=namespace.read_text().strip() if namespace.exists() else "default",
    )


def _trusting(authority: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(authority))
    except OSError as error:  # an SSLError too
        raise errors.InvalidInput(
            "in-cluster configuration",
            str(authority),
            None,
            f"cannot be loaded: {error.strerror}",
            hint="mount a service account's token into the pod",
        ) from error


def from_file(path: Path, context: str = "") -> Endpoint:
    """The endpoint of a context; empty: the current one."""
    return from_document(_document(path), path, context)


def _document(path: Path) -> dict[str, Any]:
    try:
        document = yamltext.parse_one(path.read_bytes(), budget.FILE).value
    except OSError as error:
        raise errors.InvalidInput(
            f"kubeconfig {path}", "file", None, f"cannot be read: {error.strerror}"
        ) from error
    except budget.Malformed as error:
        raise errors.InvalidInput(
            f"kubeconfig {path}", "file", None, f"is not YAML: {error}"
        ) from error
    if not isinstance(document, dict):
        rule = "is empty" if document is None else "is no kubeconfig"
        raise errors.InvalidInput(f"kubeconfig {path}", "file", None, rule)
    return document


def from_document(document: Mapping[str, Any], path: Path, context_name: str = "") -> Endpoint:
    where = f"kubeconfig {path}"
    name = context_name or document.get("current-context") or ""
    context = _named(document, "contexts", "context", name, where)
    cluster = _named(document, "clusters", "cluster", context.get("cluster", ""), where)
    user: Mapping[str, Any] = {}
    if context.get("user"):
        user = _named(document, "users", "user", context["user"], where)
    for refused in ("exec", "auth-provider"):
        if user.get(refused):
            raise errors.InvalidInput(
                where,
                f"users[{context['user']}].{refused}",
                None,
                "is not supported",
                hint="use a service account's token or a client certificate",
            )
    for credential in ("token", "tokenFile"):
        if credential in user and not user[credential]:
            raise errors.InvalidInput(
                where,
                f"users[{context['user']}].{credential}",
                user[credential],
                "is empty, so that every request would be an anonymous one",
                hint="put a token there, or take the field out",
            )
    server = str(cluster.get("server") or "")
    if not server.startswith(("https://", "http://", "unix://")):
        raise errors.InvalidInput(
            where, "server", server, "must begin with https://, http:// or unix://"
        )
    make_tls = None
    if server.startswith("https://"):
        make_tls = functools.partial(_tls, cluster, user, path, where)
    return Endpoint(
        server=server.rstrip("/"),
        tls=make_tls() if make_tls else None,
        make_tls=make_tls,
        tls_files=_tls_files(cluster, user, path),
        token=str(user.get("token") or ""),
        token_file=_beside(path, user.get("tokenFile")),
        namespace=str(context.get("namespace") or "default"),
        server_name=str(cluster.get("tls-server-name") or ""),
    )


def _named(
    document: Mapping[str, Any], plural: str, kind: str, name: str, where: str
) -> Mapping[str, Any]:
    listed = document.get(plural)
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, dict) and entry.get("name") == name:
            found = entry.get(kind) or {}
            return found if isinstance(found, dict) else {}
    raise errors.InvalidInput(where, plural, name, "is not in the file")


def _beside(path: Path, value: object) -> str:
    """A relative path in a kubeconfig is relative to the file."""
    return str(path.parent / str(value)) if value else ""


def _tls(
    cluster: Mapping[str, Any], user: Mapping[str, Any], path: Path, where: str
) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
        if cluster.get("insecure-skip-tls-verify"):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif cluster.get("certificate-authority-data"):
            pem = base64.b64decode(cluster["certificate-authority-data"]).decode()
            context = ssl.create_default_context(cadata=pem)
        elif cluster.get("certificate-authority"):
            context = ssl.create_default_context(
                cafile=_beside(path, cluster["certificate-authority"])
            )
        _load_client_certificate(context, user, path)
    except (ssl.SSLError, ValueError, OSError) as error:
        raise errors.InvalidInput(
            where, "certificates", None, f"cannot be loaded: {error}"
        ) from error
    return context


def _tls_files(cluster: Mapping[str, Any], user: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    """The files that a kubeconfig names; inline data needs no second read."""
    named = (
        cluster.get("certificate-authority"),
        user.get("client-certificate"),
        user.get("client-key"),
    )
    return tuple(_beside(path, each) for each in named if each)


def _load_client_certificate(context: ssl.SSLContext, user: Mapping[str, Any], path: Path) -> None:
    if user.get("client-certificate-data"):
        # OpenSSL reads client certificates from files only; this one exists briefly, with mode
        # 0600.
        with tempfile.NamedTemporaryFile() as pem:
            pem.write(base64.b64decode(user["client-certificate-data"]) + b"\n")
            pem.write(base64.b64decode(user.get("client-key-data") or ""))
            pem.flush()
            context.load_cert_chain(pem.name)
    elif user.get("client-certificate"):
        context.load_cert_chain(
            _beside(path, user["client-certificate"]), _beside(path, user.get("client-key")) or None
        )
