"""Class 0x2050, version 3, in one session.

What may be restarted is the engine's business; here a session gets the
variables and messages of the class. The one rule: every path is judged by
what the session's user may use before anything is opened.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final, TypeVar, final

import trio

from tapekit.errors import TapekitError
from tapekit.hookspecs.data_engine import PathNotPermitted
from tapekit.hookspecs.storage import LockingStorage
from tapekit.segments import ConnectionBroken
from tapekit_ndmp_v4.hookspecs import ChosenExtension, Extension
from tapekit_ndmp_v4.numbers import NdmpError
from tapekit_ndmp_v4.refusal import Refused
from tapekit_snapext.browsing import Browser, snapshot_path
from tapekit_snapext.errors import CATALOGUE
from tapekit_snapext.messages import (
    EXCHANGES,
    NotifySnapRecoverEndPost,
    SnapDirListReply,
    SnapDirListRequest,
    SnapRecoverReply,
    SnapRecoverRequest,
)
from tapekit_snapext.numbers import CLASS_ID, VERSION, SnapError
from tapekit_snapext.recovering import ENGINE, prepare_recovery
from tapekit_snapext.variables import RESTART_ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tapekit_ndmp_v4.hookspecs import ExtendedSession, ExtensionHandler
    from tapekit_ndmp_v4.wire import Message
    from tapekit_snapext.recovering import Recovery

__all__ = ["ChosenSnapext", "snapshot_extension"]

T = TypeVar("T")

_RUN_BITS: Final = 31


@final
class ChosenSnapext(ChosenExtension):
    """The extension in one session."""

    def __init__(
        self, session: ExtendedSession, version: int, run: int, entries_at_once: int
    ) -> None:
        super().__init__(session, version)
        self._run: Final = run
        self._most: Final = entries_at_once
        self._is_recovering = False
        self._browser: Browser | None = None
        """What has the names of a directory whose batches are asked for."""

    @property
    def has_job(self) -> bool:
        """Whether something is being recovered; a stack that stops waits for it."""
        return self._is_recovering

    def jobs_of(self, butype: str) -> int:
        """A recovery counts as one job of the engine that does it."""
        return int(self._is_recovering and butype == ENGINE)

    def handlers(self) -> Mapping[type[Message], ExtensionHandler]:
        """Who answers the requests of the class."""
        handlers: dict[type[Message], Callable[[Any], Any]] = {
            SnapDirListRequest: self._list,
            SnapRecoverRequest: self._recover,
        }
        return handlers

    async def _list(self, request: SnapDirListRequest) -> SnapDirListReply:
        """SNAP_DIR_LIST: a batch of a directory."""
        session = self.session
        storage = session.kernel.storage
        if not isinstance(storage, LockingStorage):
            raise Refused(NdmpError.NOT_SUPPORTED_ERR, CATALOGUE.error("recovery-not-possible"))
        browser = self._browser = self._browser or Browser(storage, self._run, self._most)

        def work() -> SnapDirListReply:
            session.permit(snapshot_path(request.pathname).volume)
            cookie, entries = browser.entries(
                request.pathname, request.cookie, request.most, session.link.name
            )
            return SnapDirListReply(error=NdmpError.NO_ERR, cookie=cookie, entries=tuple(entries))

        return await self._judged(request.pathname, work)

    async def _recover(self, request: SnapRecoverRequest) -> SnapRecoverReply:
        """SNAP_RECOVER: check, answer, and go on beside the session."""
        session = self.session
        if self._is_recovering:
            raise Refused(SnapError.BUSY_ERR.value, CATALOGUE.error("recovery-under-way"))
        session.need_room(ENGINE)

        def work() -> Recovery:
            return prepare_recovery(
                session.kernel,
                request.source,
                request.destination,
                session.link.name,
                session.permit,
            )

        self._is_recovering = True
        try:
            recovery = await self._judged(request.source, work)
        except BaseException:
            self._is_recovering = False
            raise
        session.link.start(lambda: self._run_recovery(recovery), "snapshot recovery")
        return SnapRecoverReply(error=NdmpError.NO_ERR)

    async def _run_recovery(self, recovery: Recovery) -> None:
        """Recover, free everything, and tell the client."""
        link = self.session.link
        error = 0
        try:
            await recovery.run(link)
        except TapekitError as failure:
            link.log_error(failure)
            error = SnapError.INTERNAL_ERR.value
        except ConnectionBroken:
            error = SnapError.INTERNAL_ERR.value
        except OSError as failure:
            link.log_error(_failed(recovery.source, failure))
            error = SnapError.INTERNAL_ERR.value
        finally:
            # Only then there is room for others, and a stack that stops goes on.
            try:
                with trio.CancelScope(shield=True):
                    await link.in_thread(recovery.close)
            finally:
                self._is_recovering = False
        link.post(NotifySnapRecoverEndPost(error=error, source=recovery.source))

    async def _judged(self, path: str, work: Callable[[], T]) -> T:
        """Run blocking work; what it refuses becomes an error of the class."""
        try:
            return await self.session.link.in_thread(work)
        except PathNotPermitted as error:
            raise Refused(NdmpError.PERMISSION_ERR, error) from error
        except TapekitError as error:
            raise Refused(SnapError.INVALID_PATH_ERR.value, error) from error
        except OSError as error:
            failed = _failed(path, error)
            raise Refused(SnapError.INTERNAL_ERR.value, failed) from error


def _failed(path: str, error: OSError) -> TapekitError:
    return CATALOGUE.error("snapshot-unreadable", path=path, reason=error.strerror or error)


def snapshot_extension(entries_at_once: int) -> Extension:
    """The class as ``ndmp_v4`` offers it."""
    run = 1 + secrets.randbelow(2**_RUN_BITS - 1)

    def begin(session: ExtendedSession, version: int) -> ChosenSnapext:
        return ChosenSnapext(session, version, run, entries_at_once)

    return Extension(
        class_id=CLASS_ID,
        name="SNAPEXT",
        versions=(VERSION,),
        exchanges=EXCHANGES,
        begin=begin,
        variables=frozenset(row.name for row in RESTART_ROWS),
    )
