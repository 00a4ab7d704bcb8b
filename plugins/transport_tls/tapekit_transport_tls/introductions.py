"""How the two sides of a private data connection know each other.

The listening side makes a key and a certificate for one connection, and a
token. The certificate's fingerprint and the token go with the address over
both control connections to the connecting side, which demands the first and
shows the second, inside TLS. The one rule: no byte of data passes before
each side has seen what only the other can show.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import ssl
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar, final

import trio
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tapekit_transport_tls.certificates import make_certificate
from tapekit_transport_tls.errors import CATALOGUE

if TYPE_CHECKING:
    import datetime as dt
    import socket
    from collections.abc import Callable, Iterator

    from tapekit.hookspecs.transport import Credentials, Endpoint

__all__ = ["Identity", "Introduction", "introduce", "introduction_of", "let_in", "new_identity"]

T = TypeVar("T")

_FINGERPRINT: Final = "TAPEKIT_TLS_SHA256"
_TOKEN: Final = "TAPEKIT_TLS_TOKEN"  # noqa: S105 - the name of one
_BYTES: Final = 32
_WELCOME: Final = b"\x06"
"""What the listening side answers to the token."""

_NAME: Final = "data.invalid"
"""A certificate must have one; what counts is the fingerprint."""


@final
class Introduction(NamedTuple):
    """What the connecting side is told with the address."""

    fingerprint: bytes
    """SHA-256 of the certificate."""
    token: bytes

    @property
    def credentials(self) -> Credentials:
        """As it goes with an address: both in hexadecimal."""
        return ((_FINGERPRINT, self.fingerprint.hex()), (_TOKEN, self.token.hex()))


def introduction_of(credentials: Credentials, address: Endpoint) -> Introduction:
    """What came with an address.

    :raises TapekitError: ``transport_tls.no-data-credentials``.
    """
    given = dict(credentials)
    try:
        return Introduction(_value(given, _FINGERPRINT), _value(given, _TOKEN))
    except ValueError as error:
        raise CATALOGUE.error("no-data-credentials", address=address, reason=error) from error


def _value(given: dict[str, str], name: str) -> bytes:
    if name not in given:
        raise ValueError(f"{name} is missing")
    value = bytes.fromhex(given[name])
    if len(value) != _BYTES:
        raise ValueError(f"{name} has {len(value)} bytes in place of {_BYTES}")
    return value


@final
class Identity(NamedTuple):
    """Who the listening side of one connection is."""

    context: ssl.SSLContext
    introduction: Introduction


def new_identity(now: dt.datetime) -> Identity:
    """A key, which is in memory alone, its certificate, and a token.

    :param now: with its time zone.
    :raises TapekitError: ``transport_tls.data-key-not-made``.
    """
    pem = make_certificate((_NAME,), now)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context)
    # Nothing may come from the listening side unless it sends data.
    context.num_tickets = 0
    try:
        _load(context, pem)
    except OSError as error:
        raise CATALOGUE.error("data-key-not-made", reason=error) from error
    certificate = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    fingerprint = hashlib.sha256(certificate).digest()
    return Identity(context, Introduction(fingerprint, secrets.token_bytes(_BYTES)))


def _load(context: ssl.SSLContext, pem: bytes) -> None:
    """OpenSSL reads keys from files alone; this one is never on a disk."""
    file = os.memfd_create("tapekit-data-key", os.MFD_CLOEXEC)
    try:
        os.write(file, pem)
        context.load_cert_chain(f"/proc/self/fd/{file}")
    finally:
        os.close(file)


def _harden(context: ssl.SSLContext) -> None:
    """Both sides are tapekit's own, so nothing older is needed."""
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION


async def let_in(connected: socket.socket, identity: Identity) -> ssl.SSLSocket:
    """Hear out somebody who has connected.

    :param connected: owned from here on; closed on any error.
    :raises OSError: it is not the peer.
    """
    with _secured(connected, identity.context, is_server=True) as secure:
        await _when_ready(secure, secure.do_handshake)
        token = await _received(secure, _BYTES)
        if not secrets.compare_digest(token, identity.introduction.token):
            raise PermissionError(errno.EACCES, "it does not have the token")
        await _when_ready(secure, lambda: secure.send(_WELCOME))
        return secure


async def introduce(
    connected: socket.socket, introduction: Introduction, address: Endpoint
) -> ssl.SSLSocket:
    """Make sure of the listening side, and show it the token.

    :param connected: owned from here on; closed on any error.
    :raises TapekitError: it is not the peer.
    :raises OSError: it hung up, or does not speak TLS.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context)
    # The one certificate that will do is known; nobody has to vouch for it.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with _secured(connected, context, is_server=False) as secure:
        await _when_ready(secure, secure.do_handshake)
        certificate = secure.getpeercert(binary_form=True) or b""
        found = hashlib.sha256(certificate).digest()
        if not secrets.compare_digest(found, introduction.fingerprint):
            raise CATALOGUE.error("data-peer-not-trusted", address=address)
        await _when_ready(secure, lambda: secure.send(introduction.token))
        if await _received(secure, len(_WELCOME)) != _WELCOME:
            raise ConnectionAbortedError(errno.ECONNABORTED, "it does not welcome the token")
        return secure


@contextlib.contextmanager
def _secured(
    connected: socket.socket, context: ssl.SSLContext, *, is_server: bool
) -> Iterator[ssl.SSLSocket]:
    """The socket with TLS to come, closed if the block fails."""
    try:
        secure = context.wrap_socket(
            connected,
            server_side=is_server,
            do_handshake_on_connect=False,
            # Half a stream must not look like a whole one.
            suppress_ragged_eofs=False,
        )
    except BaseException:
        connected.close()
        raise
    try:
        yield secure
    except BaseException:
        secure.close()
        raise


async def _received(secure: ssl.SSLSocket, count: int) -> bytes:
    """So many bytes, or fewer before an end."""
    found = b""
    while len(found) < count:
        some = await _when_ready(secure, lambda: secure.recv(count - len(found)))  # noqa: B023 - called at once
        if not some:
            break
        found += some
    return found


async def _when_ready(secure: ssl.SSLSocket, step: Callable[[], T]) -> T:
    while True:
        try:
            return step()
        except ssl.SSLWantReadError:
            await trio.lowlevel.wait_readable(secure)
        except ssl.SSLWantWriteError:
            await trio.lowlevel.wait_writable(secure)
