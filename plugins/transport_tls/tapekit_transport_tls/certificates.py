"""Certificates: making one that stands for itself, and reading any.

A certificate that the server makes is its own authority: clients are given
it, or its fingerprint, and need nothing else. Names and addresses stand where
clients look for them, in the alternative names. The one rule: nothing here
does input or output, and time is an argument.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from typing import TYPE_CHECKING, Final, NamedTuple, final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tapekit_transport_tls.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["LIFE_DAYS", "CertificateFacts", "facts_of", "make_certificate"]

LIFE_DAYS: Final = 3650
"""Ten years: clients trust this one certificate, and each renewal has to be
carried to all of them."""

_GRACE: Final = dt.timedelta(days=1)
"""How far a client's clock may be behind."""

_LONGEST_COMMON_NAME: Final = 64


@final
class CertificateFacts(NamedTuple):
    """What an administrator wants to know of a certificate."""

    subject: str
    names: tuple[str, ...]
    """Host names and addresses for which it stands."""
    not_before: dt.datetime
    not_after: dt.datetime
    fingerprint: str
    """SHA-256 of the certificate, in hexadecimal pairs with colons."""


def make_certificate(names: Sequence[str], now: dt.datetime, days: int = LIFE_DAYS) -> bytes:
    """A key (ECDSA on P-256) and a certificate for it, both in PEM form.

    :param names: host names and numeric addresses, the main one first.
    :param now: with its time zone.
    :raises TapekitError: ``transport_tls.bad-name``.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:_LONGEST_COMMON_NAME])])
    key_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _GRACE)
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(list(map(_general, names))), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(key_id, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ) + certificate.public_bytes(serialization.Encoding.PEM)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    labels = name.removesuffix(".").split(".")
    if not name.isascii() or not all(map(_is_label, labels)):
        raise CATALOGUE.error("bad-name", name=name)
    return x509.DNSName(name)


def _is_label(label: str) -> bool:
    return 0 < len(label) < 64 and label.replace("-", "").replace("_", "").isalnum()


def facts_of(pem: bytes, file: Path) -> CertificateFacts:
    """Read the first certificate of a file's content.

    :param file: where the content comes from, for the error.
    :raises TapekitError: there is none.
    """
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise CATALOGUE.error("certificate-unreadable", file=file, reason=error) from error
    return CertificateFacts(
        subject=certificate.subject.rfc4514_string(),
        names=_names(certificate),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(":").upper(),
    )


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(
        str(each.value)
        for each in extension.value
        if isinstance(each, x509.DNSName | x509.IPAddress)
    )
