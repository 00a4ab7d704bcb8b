"""The files of certificate and key, and what TLS makes of them.

A new file appears whole under its name and belongs to its owner alone. The
one rule: a key that others can read is no secret, and is refused.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import ssl
import stat
from typing import TYPE_CHECKING, Final

from tapekit_transport_tls.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["read_file", "replace_file", "server_context", "write_new_file"]

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_MODE: Final = 0o600

_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2; those of TLS 1.3 are all good."""


def server_context(certificate: Path, key: Path | None) -> ssl.SSLContext:
    """What a server needs for handshakes; TLS 1.2 or newer, no client
    certificates.

    :param key: the key's file, if it is not in that of the certificate.
    :raises TapekitError: a file is missing or damaged, or the key is open to
        others.
    """
    key = key or certificate
    read_file(certificate)
    _refuse_open_key(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_ciphers(_CIPHERS)
    # A session lasts for hours: nothing is won by resuming one.
    context.num_tickets = 0
    try:
        # Without a password of ours, OpenSSL would ask the terminal for one.
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except (OSError, ValueError) as error:
        raise CATALOGUE.error(
            "key-unusable", certificate=certificate, key=key, reason=error
        ) from error
    return context


def read_file(file: Path) -> bytes:
    """The content of a file.

    :raises TapekitError: it cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise CATALOGUE.error("file-unreadable", file=file, reason=error.strerror) from error


def _refuse_open_key(key: Path) -> None:
    try:
        mode = stat.S_IMODE(key.stat().st_mode)
    except OSError as error:
        raise CATALOGUE.error("file-unreadable", file=key, reason=error.strerror) from error
    if mode & _OTHERS:
        raise CATALOGUE.error("key-open-to-others", file=key, mode=f"{mode:04o}")


def write_new_file(file: Path, content: bytes) -> bool:
    """Make a file, durable on return; ``False`` if it exists already.

    :raises TapekitError: it cannot be made.
    """
    with _draft(file, content) as draft:
        try:
            # Unlike a rename, a link never takes the place of another file.
            file.hardlink_to(draft)
        except FileExistsError:
            return False
    return True


def replace_file(file: Path, content: bytes) -> None:
    """Put a file in the place of another, durable on return.

    :raises TapekitError: it cannot be made.
    """
    with _draft(file, content) as draft:
        draft.replace(file)


@contextlib.contextmanager
def _draft(file: Path, content: bytes) -> Iterator[Path]:
    """A file beside another one with the new content, gone afterwards."""
    draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        try:
            opened = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
            with os.fdopen(opened, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(opened)
            yield draft
        finally:
            draft.unlink(missing_ok=True)
            _flush_folder(file.parent)
    except OSError as error:
        raise CATALOGUE.error("certificate-not-made", file=file, reason=error.strerror) from error


def _flush_folder(folder: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
