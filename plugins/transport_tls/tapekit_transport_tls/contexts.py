"""The server's TLS context, read again when its files change.

Certificates of authorities last for weeks, and a server should not end its
backups for a new one: each handshake takes the files as they are. The one
rule: a change that cannot be used is told and leaves the old one in use.
"""

from __future__ import annotations

import datetime as dt
import logging
from typing import TYPE_CHECKING, Final, final

from tapekit.errors import TapekitError
from tapekit_transport_tls.certificates import facts_of
from tapekit_transport_tls.key_files import read_file, server_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["ServerContexts"]

_LOG: Final = logging.getLogger("tapekit.transport_tls")

_WARNING_TIME: Final = dt.timedelta(days=30)
"""How long before its end a certificate is worth a line in the log."""


@final
class ServerContexts:
    """Makes contexts from a certificate's file and its key's.

    :param key: the key's file, if it is not in that of the certificate.
    """

    def __init__(self, certificate: Path, key: Path | None, now: Callable[[], dt.datetime]) -> None:
        self._certificate: Final = certificate
        self._key: Final = key
        self._now: Final = now
        self._context: ssl.SSLContext | None = None
        self._seen: object = None

    def current(self) -> ssl.SSLContext:
        """The context for the next handshake.

        :raises TapekitError: the files have never been of use.
        """
        stamp = [_stamp(file) for file in (self._certificate, self._key) if file is not None]
        if self._context is None or stamp != self._seen:
            self._context = self._made()
            self._seen = stamp
        return self._context

    def _made(self) -> ssl.SSLContext:
        try:
            context = server_context(self._certificate, self._key)
            self._warn_of_end()
        except TapekitError as error:
            if self._context is None:
                raise
            _LOG.error("the certificate in use stays: %s", error.advice)
            return self._context
        return context

    def _warn_of_end(self) -> None:
        end = facts_of(read_file(self._certificate), self._certificate).not_after
        if end - self._now() < _WARNING_TIME:
            _LOG.warning(
                "the certificate in %s holds until %s", self._certificate, end.isoformat(" ")
            )


def _stamp(file: Path) -> object:
    """What differs once a file has been changed or replaced."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
