"""The client's side of secure control connections (the service ndmps).

TLS comes first, then NDMP as always. A server proves who it is by a
certificate: one of an authority that the client knows, or the very one whose
fingerprint it has been told. The one rule: no request leaves before that
proof, unless the caller says in so many words that none is wanted.
"""

from __future__ import annotations

import hashlib
import secrets
import ssl
from pathlib import Path
from typing import Final, final

import msgspec
import trio

from tapekit_ndmp_v4.errors import CATALOGUE

__all__ = ["NDMPS_PORT", "ServerTrust", "secured"]

NDMPS_PORT: Final = 30000
"""Of the service ndmps (IANA)."""

_SHA256_DIGITS: Final = 64


@final
class ServerTrust(msgspec.Struct, frozen=True, kw_only=True):
    """Why a server is believed to be the one that is meant; one reason."""

    ca_file: Path | None = None
    """File of certificates in PEM form: of authorities, or the server's own.
    The certificate must be for the host that is connected to."""
    fingerprint: str | None = None
    """SHA-256 of the server's certificate in hexadecimal, with colons or
    without; names and dates in the certificate do not matter then."""
    unverified: bool = False
    """Believe anybody. What is said can then be read and changed by whoever
    is on the way."""
    server_name: str | None = None
    """The name that the certificate is for, if it is not the host."""


async def secured(
    stream: trio.SocketStream, trust: ServerTrust, host: str, address: str
) -> trio.SSLStream[trio.SocketStream]:
    """Shake hands with a server and judge its certificate.

    :param host: what was connected to.
    :param address: how messages for people name the server.
    :raises TapekitError: it does not speak TLS, or is not to be trusted; the
        stream is of no use then.
    """
    context = _context(trust)
    # Messages tell their length, so an end without a farewell hides nothing.
    secure = trio.SSLStream(
        stream, context, server_hostname=trust.server_name or host, https_compatible=True
    )
    try:
        await secure.do_handshake()
    except trio.BrokenResourceError as error:
        cause = error.__cause__
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise CATALOGUE.error(
                "server-not-trusted", address=address, reason=cause.verify_message
            ) from error
        reason = cause or "it hung up"
        raise CATALOGUE.error("server-without-tls", address=address, reason=reason) from error
    if trust.fingerprint is not None:
        _require_fingerprint(secure, trust.fingerprint, address)
    return secure


def _context(trust: ServerTrust) -> ssl.SSLContext:
    """What the handshake is to demand.

    :raises TapekitError: there is not exactly one reason to trust.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    match trust:
        case ServerTrust(ca_file=Path() as file, fingerprint=None, unverified=False):
            # A server's own certificate in the file is trusted as it is.
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            _load(context, file)
        case ServerTrust(ca_file=None, fingerprint=str(text), unverified=False):
            _digits(text)
            _verify_nothing(context)
        case ServerTrust(ca_file=None, fingerprint=None, unverified=True):
            _verify_nothing(context)
        case _:
            raise CATALOGUE.error("trust-unclear")
    return context


def _load(context: ssl.SSLContext, file: Path) -> None:
    try:
        context.load_verify_locations(file)
    except OSError as error:
        raise CATALOGUE.error("ca-file-unreadable", file=file, reason=error) from error


def _verify_nothing(context: ssl.SSLContext) -> None:
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE


def _digits(text: str) -> str:
    """A fingerprint without its colons."""
    digits = text.replace(":", "").lower()
    try:
        bytes.fromhex(digits)
    except ValueError:
        digits = ""
    if len(digits) != _SHA256_DIGITS:
        raise CATALOGUE.error("bad-fingerprint", fingerprint=text)
    return digits


def _require_fingerprint(
    secure: trio.SSLStream[trio.SocketStream], wanted: str, address: str
) -> None:
    certificate = secure.getpeercert(binary_form=True)
    found = hashlib.sha256(certificate).hexdigest()
    if not secrets.compare_digest(found, _digits(wanted)):
        shown = ":".join(found[at : at + 2] for at in range(0, len(found), 2)).upper()
        raise CATALOGUE.error("server-certificate-differs", address=address, fingerprint=shown)
