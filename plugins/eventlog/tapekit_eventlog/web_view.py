"""The backup log for a browser on this machine.

A list of the weeks and each of them as a text, to users of the stack that
are limited to no storage virtual machine, since the log tells of all of them. The
one rule: only the files of the log are read, and none is changed.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, final

import trio

from tapekit.errors import TapekitError
from tapekit.hookspecs.authentication import LoginRefused
from tapekit_eventlog.errors import CATALOGUE
from tapekit_eventlog.file_command import FOLDER
from tapekit_eventlog.reading import log_files
from tapekit_eventlog.web_request import (
    HEAD_AT_MOST,
    HEAD_END,
    BadRequest,
    Request,
    Status,
    parse_request,
    reply,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tapekit.hookspecs.authentication import Authenticator

__all__ = ["WebView", "open_listeners"]

_HOST: Final = "127.0.0.1"
_AT_ONCE: Final = 8
"""Connections that are served together; others wait."""

_TIME_S: Final = 30
"""Seconds that a connection may take, the delay after a wrong password included."""


async def open_listeners(port: int) -> list[trio.SocketListener]:
    """Listen on loopback.

    :raises TapekitError: the port cannot be had.
    """
    try:
        return await trio.open_tcp_listeners(port, host=_HOST)
    except OSError as error:
        reason = error.strerror or str(error)
        raise CATALOGUE.error("http-port-unusable", port=port, reason=reason) from error


@final
class WebView:
    """Answers browsers.

    :param log: the present file of the log.
    """

    def __init__(self, log: Path, authenticator: Authenticator) -> None:
        self._log: Final = log
        self._authenticator: Final = authenticator
        self._limit: Final = trio.CapacityLimiter(_AT_ONCE)

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Answer one request, and close the connection."""
        async with stream:
            with trio.move_on_after(_TIME_S):
                async with self._limit:
                    try:
                        await stream.send_all(await self._answer(stream))
                    except (trio.BrokenResourceError, trio.ClosedResourceError):
                        # The browser has gone, and there is nobody to tell.
                        return

    async def _answer(self, stream: trio.abc.ReceiveStream) -> bytes:
        try:
            request = parse_request(await _head(stream))
            await self._admit(request)
            body, is_html = await self._page(request.path)
        except BadRequest as bad:
            return reply(bad.status, f"{bad}\n".encode())
        except TapekitError as error:
            return reply(Status.INTERNAL_ERROR, f"{error}\n".encode(errors="replace"))
        return reply(Status.OK, body, is_html=is_html, is_head=request.is_head)

    async def _admit(self, request: Request) -> None:
        """Judge who asks.

        :raises BadRequest: nobody who may read the log.
        """
        if request.user is None:
            raise BadRequest(Status.UNAUTHORIZED)
        try:
            login = self._authenticator.login_plaintext
            principal = await login(request.user, request.password, _HOST)
        except LoginRefused as refused:
            raise BadRequest(Status.UNAUTHORIZED) from refused
        if principal.svms:
            raise BadRequest(Status.FORBIDDEN)

    async def _page(self, path: str) -> tuple[bytes, bool]:
        """The text of a path, and whether it is HTML.

        :raises BadRequest: there is none.
        :raises TapekitError: it cannot be read.
        """
        known = {f"{FOLDER}/{file.name}": file for file in log_files(self._log)}
        if path != "/":
            if path not in known:
                raise BadRequest(Status.NOT_FOUND)
            return await trio.to_thread.run_sync(_content, known[path]), False
        there = await trio.to_thread.run_sync(_existing, list(known.items()))
        links = "".join(f'<li><a href="{name}">{name}</a>' for name in there)
        return f"<!doctype html><title>Backup log</title><ul>{links}</ul>\n".encode(), True


def _existing(files: list[tuple[str, Path]]) -> list[str]:
    # Path.exists raises where the folder may not be entered.
    return [name for name, file in files if os.path.exists(file)]  # noqa: PTH110


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise BadRequest(Status.NOT_FOUND) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise CATALOGUE.error("log-unreadable", path=file, reason=reason) from error


async def _head(stream: trio.abc.ReceiveStream) -> bytes:
    """A request up to its end.

    :raises BadRequest: it is too long, or has none.
    """
    received = bytearray()
    while HEAD_END not in received:
        piece = await stream.receive_some(HEAD_AT_MOST)
        received += piece
        if not piece or len(received) > HEAD_AT_MOST:
            raise BadRequest(Status.BAD_REQUEST)
    return bytes(received[: received.index(HEAD_END) + len(HEAD_END)])
