"""The server's end of the management socket.

Each connection is a task that reads one call, performs it, and answers; a
caller that hangs up cancels what it asked for. The one rule: whatever a
caller sends, and whatever an operation raises, the stack goes on.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, final

import msgspec
import trio

from tapekit.errors import TapekitError
from tapekit.hookspecs.operations import Feed, Privilege
from tapekit_admin.errors import CATALOGUE
from tapekit_admin.protocol import (
    ANSWER_BYTES,
    CALL_BYTES,
    PROTOCOL_VERSION,
    Call,
    End,
    Failed,
    Item,
    Reply,
    line,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tapekit.hookspecs.operations import OfferedOperation
    from tapekit_admin.protocol import Answer

__all__ = ["ManagementServer"]

_LOG: Final = logging.getLogger("tapekit.admin")

_PATIENCE_S: Final = 10.0
"""How long a caller may take to send its call."""

_CHUNK_BYTES: Final = 65536


@final
class ManagementServer:
    """Performs the operations of a stack for whoever may open the socket."""

    def __init__(self, operations: Mapping[str, OfferedOperation], calls: int) -> None:
        self._operations: Final = operations
        self._limit: Final = calls
        self._calls = 0

    async def serve_connection(self, stream: trio.abc.Stream) -> None:
        """Serve one call, and close the connection."""
        self._calls += 1
        try:
            async with stream:
                await self._serve(stream)
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            _LOG.debug("a caller hung up")
        except* Exception:  # noqa: BLE001 - see the one rule
            _LOG.exception("a defect ended a call")
        finally:
            self._calls -= 1

    async def _serve(self, stream: trio.abc.Stream) -> None:
        try:
            if self._calls > self._limit:
                raise CATALOGUE.error("too-many-calls", limit=self._limit)
            call = _call(await _received(stream))
            offered = self._offered(call)
        except TapekitError as error:
            await stream.send_all(line(_failed(error)))
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_until_gone, stream, nursery.cancel_scope)
            await stream.send_all(line(await self._performed(stream, offered, call)))
            nursery.cancel_scope.cancel()

    def _offered(self, call: Call) -> OfferedOperation:
        offered = self._operations.get(call.operation)
        if offered is None:
            known = ", ".join(sorted(self._operations)) or "none"
            raise CATALOGUE.error("unknown-operation", operation=call.operation, known=known)
        needed = offered.operation.privilege
        if needed is Privilege.ADVANCED and call.privilege != Privilege.ADVANCED.value:
            raise CATALOGUE.error("needs-advanced-privilege", operation=call.operation)
        return offered

    async def _performed(
        self, stream: trio.abc.Stream, offered: OfferedOperation, call: Call
    ) -> Answer:
        """The last answer to a call; items of a feed are sent before."""

        async def tell(item: msgspec.Struct) -> None:
            await stream.send_all(_answer(call, Item(_raw(item))))

        try:
            request = _request(call, offered)
            if isinstance(offered.operation, Feed):
                await offered.perform(request, tell)
                return End()
            reply = Reply(_raw(await offered.perform(request)))
            _answer(call, reply)
        except TapekitError as error:
            return _failed(error)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise
        except Exception:  # noqa: BLE001 - a defect ends one call, not the stack
            _LOG.exception("%s failed", call.operation)
            return _failed(CATALOGUE.error("operation-failed", operation=call.operation))
        return reply


async def _received(stream: trio.abc.Stream) -> bytes:
    """The line of a call."""
    received = bytearray()
    with trio.move_on_after(_PATIENCE_S):
        while len(received) <= CALL_BYTES:
            data = await stream.receive_some(_CHUNK_BYTES)
            received += data
            if b"\n" in data or not data:
                return bytes(received)
    raise CATALOGUE.error("call-too-long", limit=CALL_BYTES, patience_s=_PATIENCE_S)


def _call(received: bytes) -> Call:
    try:
        call = msgspec.json.decode(received, type=Call)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CATALOGUE.error("call-not-understood", reason=error) from None
    if call.version != PROTOCOL_VERSION:
        raise CATALOGUE.error("other-protocol-version", version=call.version, own=PROTOCOL_VERSION)
    return call


def _request(call: Call, offered: OfferedOperation) -> msgspec.Struct:
    kind: type[msgspec.Struct] = offered.operation.request
    try:
        return msgspec.json.decode(call.request, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CATALOGUE.error("bad-request", operation=call.operation, reason=error) from None


def _answer(call: Call, answer: Answer) -> bytes:
    encoded = line(answer)
    if len(encoded) > ANSWER_BYTES:
        raise CATALOGUE.error("answer-too-long", operation=call.operation, limit=ANSWER_BYTES)
    return encoded


def _raw(value: msgspec.Struct) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def _failed(error: TapekitError) -> Failed:
    return Failed(id=error.id, message=_utf8(str(error)), action=_utf8(error.action))


def _utf8(text: str) -> str:
    """A text with escapes for the bytes of names that are no UTF-8."""
    return text.encode(errors="backslashreplace").decode()


async def _until_gone(stream: trio.abc.Stream, call: trio.CancelScope) -> None:
    """Cancel the call when its caller hangs up; more lines are not read."""
    try:
        while await stream.receive_some(_CHUNK_BYTES):
            _LOG.debug("a caller sent more than its call")
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        _LOG.debug("a caller vanished")
    call.cancel()
