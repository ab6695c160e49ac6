"""Makes the server's TLS certificates, from an authority of its own.

The library that makes certificates is loaded only when one must be made.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

_YEARS = timedelta(days=3650)
DEFAULT_NAMES = ("localhost", "127.0.0.1", "::1", "kubernetes", "kubernetes.default")


def context(folder: Path, names: Iterable[str] = ()) -> ssl.SSLContext:
    """A server context whose certificate holds for these names and addresses."""
    ensure(folder, names)
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    found.minimum_version = ssl.TLSVersion.TLSv1_2
    found.load_cert_chain(folder / "server.crt", folder / "server.key")
    return found


def authority(folder: Path) -> bytes:
    return (folder / "ca.crt").read_bytes()


def ensure(folder: Path, names: Iterable[str] = ()) -> None:
    """Make what is missing; a certificate that lacks a name is reissued by the same CA."""
    hosts = sorted({*DEFAULT_NAMES, *names})
    listed = folder / "server.names"
    files = [folder / name for name in ("ca.crt", "ca.key", "server.crt", "server.key")]
    made = listed.exists() and all(file.exists() for file in files)
    if made and set(hosts) <= set(listed.read_text().split()):
        return
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _make(folder, hosts)
    _write(listed, "\n".join(hosts).encode())


def _make(folder: Path, names: list[str]) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def key_bytes(key: Any) -> bytes:
        form = serialization.PrivateFormat.PKCS8
        plain = serialization.NoEncryption()
        return bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))

    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def begin(subject: x509.Name, issuer: x509.Name, key: Any) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + _YEARS)
        )

    pem = serialization.Encoding.PEM
    if (folder / "ca.key").exists() and (folder / "ca.crt").exists():
        ca_key: Any = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
        ca = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
    else:
        ca_key = ec.generate_private_key(ec.SECP256R1())
        name = named("weft lab authority")
        ca = (
            begin(name, name, ca_key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
            .add_extension(_usage(x509, authority=True), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), False)
            .sign(ca_key, hashes.SHA256())
        )
        _write(folder / "ca.key", key_bytes(ca_key))
        _write(folder / "ca.crt", ca.public_bytes(pem))
    key = ec.generate_private_key(ec.SECP256R1())
    alternatives = x509.SubjectAlternativeName([_alternative(x509, name) for name in names])
    certificate = (
        begin(named("weft lab API server"), ca.subject, key)
        .add_extension(alternatives, False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(_usage(x509, authority=False), True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), False
        )
        .sign(ca_key, hashes.SHA256())
    )
    _write(folder / "server.key", key_bytes(key))
    _write(folder / "server.crt", certificate.public_bytes(pem))


def _usage(x509: Any, *, authority: bool) -> Any:
    """Key usage, without which strict clients refuse a certificate."""
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative(x509: Any, name: str) -> Any:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
