"""Finds the API server and the credentials for it: a kubeconfig, or the service account.

It opens no connection.
"""

from __future__ import annotations

import base64
import functools
import os
import ssl
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from weft import errors
from weft.decode import budget, yamltext

_CREDENTIALS = (
    *("token", "tokenFile", "client-certificate", "client-certificate-data"),
    *("client-key", "client-key-data"),
)
_AUTHORITIES = ("certificate-authority", "certificate-authority-data")
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`server` is http(s)://host:port, or unix:///path for a local socket.

    `files` are all that it was read from; when one of them changes, `reload` reads them again, and
    raises InvalidInput if they are invalid.
    """

    server: str
    tls: ssl.SSLContext | None = None
    token: str = field(default="", repr=False)
    token_file: str = ""
    namespace: str = "default"
    server_name: str = ""  # the name in the server's certificate, if not the host of `server`
    files: tuple[str, ...] = ()
    reload: Callable[[], Endpoint] | None = None


def load(path: str | None, context: str = "") -> Endpoint:
    """The endpoint of a kubeconfig's `context` (empty: the current one), or of this pod's cluster.

    With several files in $KUBECONFIG, the first that has the context counts, and the first that
    names a current context decides which that is. Raises InvalidInput.
    """
    return replace(_load(path, context), reload=functools.partial(load, path, context))


def without_user(path: str | None, context: str = "") -> Endpoint:
    """The endpoint of `load` with the cluster's address and authority, and nobody's credentials."""
    return replace(_load(path, context, has_user=False), token_file="")


def _load(path: str | None, context: str, *, has_user: bool = True) -> Endpoint:
    if path is None:
        return in_cluster()
    files = [Path(part).expanduser() for part in path.split(os.pathsep) if part]
    if len(files) < 2:
        file = Path(path).expanduser()
        return from_document(_document(file), file, context, has_user=has_user)
    documents = [(file, _document(file)) for file in files if file.exists()]
    current = (str(document.get("current-context") or "") for _, document in documents)
    context = context or next((name for name in current if name), "")
    for file, document in documents:
        listed = document.get("contexts")
        entries = listed if isinstance(listed, list) else []
        if any(isinstance(entry, dict) and entry.get("name") == context for entry in entries):
            return from_document(document, file, context, has_user=has_user)
    raise errors.InvalidInput(f"kubeconfig {path}", "contexts", context, "is in none of the files")


def in_cluster(root: Path = SERVICE_ACCOUNT) -> Endpoint:
    """The endpoint for the service account of the pod that this runs in; raises InvalidInput."""
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
    with _loading("in-cluster configuration", str(authority), "mount a service account's token"):
        tls = trusting(_content(str(authority)))
    return Endpoint(
        server=f"https://{host}:{port}",
        tls=tls,
        files=(str(authority),),
        token_file=str(root / "token"),
        namespace=namespace.read_text().strip() if namespace.exists() else "default",
    )


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


def from_document(
    document: Mapping[str, Any], path: Path, context_name: str = "", *, has_user: bool = True
) -> Endpoint:
    """The endpoint of a context in a kubeconfig's contents; raises InvalidInput.

    Not `has_user`: without the context's credentials, and whatever is wrong with them.
    """
    where = f"kubeconfig {path}"
    name = context_name or document.get("current-context") or ""
    context = _named(document, "contexts", "context", name, where)
    cluster = _named(document, "clusters", "cluster", context.get("cluster", ""), where)
    user: Mapping[str, Any] = {}
    if has_user and context.get("user"):
        user = _named(document, "users", "user", context["user"], where)
    for refused in ("exec", "auth-provider", "username", "password"):
        if user.get(refused):
            raise errors.InvalidInput(
                where,
                f"users[{context['user']}].{refused}",
                None,
                "is not supported",
                hint="use a service account's token or a client certificate",
            )
    _refuse_empty(where, f"users[{context.get('user')}]", user, _CREDENTIALS)
    _refuse_empty(where, f"clusters[{context.get('cluster')}]", cluster, _AUTHORITIES)
    server = str(cluster.get("server") or "")
    if not server.startswith(("https://", "http://", "unix://")):
        raise errors.InvalidInput(
            where, "server", server, "must begin with https://, http:// or unix://"
        )
    return Endpoint(
        server=server.rstrip("/"),
        tls=_tls(cluster, user, path, where) if server.startswith("https://") else None,
        files=(str(path), *_tls_files(cluster, user, path)),
        token=str(user.get("token") or ""),
        token_file=_beside(path, user.get("tokenFile")),
        namespace=str(context.get("namespace") or "default"),
        server_name=str(cluster.get("tls-server-name") or ""),
    )


def _refuse_empty(where: str, what: str, entry: Mapping[str, Any], fields: tuple[str, ...]) -> None:
    for name in fields:
        if name in entry and not entry[name]:
            raise errors.InvalidInput(
                where,
                f"{what}.{name}",
                entry[name],
                "is empty, so that every request would be an anonymous one"
                if name in _CREDENTIALS
                else "is empty",
                hint="put its value there, or take the field out",
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


def trusting(authority: str) -> ssl.SSLContext:
    """A context that trusts the authorities in this PEM text, and no others.

    From Python 3.13 on, certificates must name their authority's key (RFC 5280, 4.2.1.1). Those of
    many clusters do not, and Kubernetes' own client accepts them.
    """
    context = ssl.create_default_context(cadata=authority)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _tls(
    cluster: Mapping[str, Any], user: Mapping[str, Any], path: Path, where: str
) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif cluster.get("certificate-authority-data"):
        with _loading(where, "certificate-authority-data"):
            pem = base64.b64decode(cluster["certificate-authority-data"]).decode()
            context = trusting(pem)
    elif cluster.get("certificate-authority"):
        authority = _beside(path, cluster["certificate-authority"])
        with _loading(where, f"certificate-authority {authority}"):
            context = trusting(_content(authority))
    _load_client_certificate(context, user, path, where)
    return context


@contextmanager
def _loading(where: str, what: str, hint: str = "") -> Iterator[None]:
    """Errors of certificates and keys, by the name of the file or field."""
    try:
        yield
    except (ssl.SSLError, ValueError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        rule = f"cannot be loaded: {reason}"
        raise errors.InvalidInput(where, what, None, rule, hint=hint) from error


def _content(file: str) -> str:
    """The text of a file in PEM form; an empty one is an error."""
    text = Path(file).read_text()
    if not text.strip():
        raise ValueError("the file is empty")
    return text


def _tls_files(cluster: Mapping[str, Any], user: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    """The files that a kubeconfig names; inline data needs no second read."""
    named = (
        cluster.get("certificate-authority"),
        user.get("client-certificate"),
        user.get("client-key"),
    )
    return tuple(_beside(path, each) for each in named if each)


def _load_client_certificate(
    context: ssl.SSLContext, user: Mapping[str, Any], path: Path, where: str
) -> None:
    if user.get("client-certificate-data"):
        # OpenSSL reads client certificates from files only; this one exists briefly, with mode
        # 0600.
        with _loading(where, "client-certificate-data"), tempfile.NamedTemporaryFile() as pem:
            pem.write(base64.b64decode(user["client-certificate-data"]) + b"\n")
            pem.write(base64.b64decode(user.get("client-key-data") or ""))
            pem.flush()
            context.load_cert_chain(pem.name)
    elif user.get("client-certificate"):
        certificate = _beside(path, user["client-certificate"])
        key = _beside(path, user.get("client-key")) or certificate
        for name, file in (("client-certificate", certificate), ("client-key", key)):
            with _loading(where, f"{name} {file}"):
                _content(file)
        with _loading(where, f"client-certificate {certificate} with client-key {key}"):
            context.load_cert_chain(certificate, key)
    elif user.get("client-key") or user.get("client-key-data"):
        raise errors.InvalidInput(where, "client-key", None, "needs a client-certificate")
