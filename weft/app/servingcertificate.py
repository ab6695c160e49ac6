"""Makes the certificate that a process serves TLS with, and the CA bundle of its clients.

Each copy of a process has a key of its own, which never leaves its memory: there is no Secret to
read, share or restore. A bundle holds the self-signed certificates of all copies, which cannot sign
others.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFE = timedelta(days=7)
_EARLY = timedelta(hours=1)  # for clocks that are behind
MAX_CERTIFICATES = 16  # certificates in a bundle: copies that crash leave theirs behind
_PEM = serialization.Encoding.PEM


@dataclass(frozen=True, slots=True)
class ServingCertificate:
    """A certificate with its key. `names` are the DNS names and addresses in it; `pem` is
    public. From `due` on it is time to make the next one."""

    names: tuple[str, ...]
    pem: bytes
    key: bytes
    due: datetime
    until: datetime

    def is_due(self, now: datetime) -> bool:
        """Whether it is time to make the next certificate."""
        return now > self.due

    def load(self, context: ssl.SSLContext) -> None:
        """Makes `context` serve new connections with it; the key is never written to a disk."""
        descriptor = os.memfd_create("serving certificate")
        try:
            os.write(descriptor, self.pem + self.key)
            context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)


def make(names: Iterable[str], now: datetime, life: timedelta = LIFE) -> ServingCertificate:
    """Returns a new self-signed certificate for these DNS names and addresses, valid for `life`."""
    named = tuple(names)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, named[0][:64])])
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - _EARLY)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectAlternativeName(map(_general_name, named)), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        .sign(key, hashes.SHA256())
    )
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return ServingCertificate(
        *(named, made.public_bytes(_PEM), key.private_bytes(_PEM, form, plain)),
        due=now + life * 2 / 3,
        until=now + life,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def bundle(there: bytes, own: Iterable[ServingCertificate], now: datetime) -> bytes:
    """Returns the bundle (PEM): this copy's certificates, and other copies' valid ones.

    `there`, the present bundle, is returned unchanged if it has them all and no expired one.
    """
    pems = [each.pem for each in own]
    try:
        found = x509.load_pem_x509_certificates(there) if there.strip() else []
    except ValueError:
        found = []
    kept = {each.public_bytes(_PEM): each for each in found if each.not_valid_after_utc > now}
    others = [(each.not_valid_before_utc, pem) for pem, each in kept.items() if pem not in pems]
    newest = sorted(others, reverse=True)[: MAX_CERTIFICATES - len(pems)]
    if len(kept) == len(found) <= MAX_CERTIFICATES and all(pem in kept for pem in pems):
        return there
    return b"".join([*pems, *(pem for _, pem in newest)])
