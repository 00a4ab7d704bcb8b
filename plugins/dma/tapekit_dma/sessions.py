"""Sessions with the servers of the settings, and what the servers say.

The one rule: a password is read from a file that nobody else can read, and
goes to its own server alone.
"""

from __future__ import annotations

import os
import re
import stat
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit.console import printable
from tapekit_dma.errors import CATALOGUE
from tapekit_ndmp_v4.client import NdmpClient, ServerTrust
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.messages import LogFilePost, LogMessagePost
from tapekit_ndmp_v4.numbers import AuthType, LogType, RecoveryStatus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from tapekit_dma.settings import DmaSettings, ServerSettings
    from tapekit_ndmp_v4.wire import Message

__all__ = ["Room", "Voices", "logged_in"]

_NOT_FOR_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_FINGERPRINT: Final = re.compile(r"[0-9A-Fa-f]{2}(:?[0-9A-Fa-f]{2}){31}")
_QUOTED: Final = 3
_METHODS: Final = {"md5": AuthType.MD5, "text": AuthType.TEXT}


class Room(NamedTuple):
    """What every run needs from outside."""

    settings: DmaSettings
    base: Path
    """Folder of the stack file, where relative names begin."""
    clock: Callable[[], float]
    """Seconds since 1970."""
    tell: Callable[[str], object]
    """Gets a line for the administrator about what happens now."""
    ask: Callable[[str], Awaitable[bool]] | None = None
    """Asks somebody to put a cartridge in; ``None`` if nobody is there."""


@final
class Voices:
    """What servers say during a run: errors to be quoted, files that failed."""

    def __init__(self) -> None:
        self._errors: Final[deque[str]] = deque(maxlen=_QUOTED)
        self.not_restored: Final[list[str]] = []

    def hear(self, post: Message) -> None:
        """Take in a post; all but the logs are passed over."""
        match post:
            case LogMessagePost(log_type=LogType.ERROR, entry=entry):
                text = printable(entry.strip())
                if text not in self._errors:
                    self._errors.append(text)
            case LogFilePost(name=name, recovery_status=status):
                if status != RecoveryStatus.SUCCESSFUL:
                    self.not_restored.append(name)

    @property
    def quoted(self) -> str:
        """The last errors as the end of a sentence, or nothing."""
        return f"; the server says: {' / '.join(self._errors)}" if self._errors else ""


@asynccontextmanager
async def logged_in(room: Room, name: str) -> AsyncIterator[NdmpClient]:
    """A session with a server of the settings.

    :raises TapekitError: it cannot be reached, is not trusted, or refuses.
    """
    server = room.settings.servers[name]
    password = _password(room.base / server.password_file) if server.password_file else b""
    trust = _trust(room.base, server.tls)
    connecting = NdmpClient.connect(server.host, server.port or None, clock=room.clock, tls=trust)
    async with connecting as client:
        await client.open()
        await _authenticate(client, name, server, password)
        yield client


async def _authenticate(
    client: NdmpClient, name: str, server: ServerSettings, password: bytes
) -> None:
    method = _METHODS[server.auth] if server.user else AuthType.NONE
    try:
        await client.authenticate(method, server.user, password)
    except NdmpReplyError as refused:
        raise CATALOGUE.error(
            "login-refused",
            server=name,
            address=client.address,
            user=server.user or "a login without a user",
            error=refused.facts["error"],
        ) from refused


def _trust(base: Path, text: str) -> ServerTrust | None:
    if not text:
        return None
    if _FINGERPRINT.fullmatch(text):
        return ServerTrust(fingerprint=text)
    return ServerTrust(ca_file=base / text)


def _password(file: Path) -> bytes:
    """The first line of a file that only its owner can read."""
    try:
        with file.open("rb") as opened:
            if os.fstat(opened.fileno()).st_mode & _NOT_FOR_OTHERS:
                raise CATALOGUE.error("password-file-exposed", file=file)
            password = opened.readline().rstrip(b"\r\n")
    except OSError as error:
        raise CATALOGUE.error(
            "password-file-unreadable", file=file, reason=error.strerror
        ) from error
    if not password:
        raise CATALOGUE.error("password-file-unreadable", file=file, reason="it is empty")
    return password
