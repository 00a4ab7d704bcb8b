"""The relationships of a running stack: one task for each transfer.

A transfer is checked before its caller gets an answer, and then goes on by
itself; `show` tells how it stands. The one rule: one thing at a time is done
to a relationship, whoever asks.
"""

from __future__ import annotations

import functools
import logging
import uuid
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Final, TypeVar, final

import trio

from tapekit.errors import TapekitError
from tapekit.hookspecs.events import Event
from tapekit.hookspecs.movements import JobKind
from tapekit.hookspecs.operations import NoReply
from tapekit.hookspecs.volume_images import MirrorStorage, VolumeType
from tapekit.segments import ConnectionBroken
from tapekit_snapmirror import operations as ops
from tapekit_snapmirror.course import Course, require_flexvol
from tapekit_snapmirror.errors import CATALOGUE
from tapekit_snapmirror.relationships import Relationship, Relationships, Step
from tapekit_snapmirror.transfer import ENGINE, prepare_transfer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit.hookspecs.movements import Stay
    from tapekit.hookspecs.operations import NoRequest, OfferedOperation
    from tapekit_snapmirror.course import Plan

__all__ = ["Mirrors"]

_LOG: Final = logging.getLogger("tapekit.snapmirror")

_T = TypeVar("_T")


@final
class Mirrors:
    """All relationships of a stack; for one event loop, after :meth:`settle`."""

    def __init__(self) -> None:
        self._kernel: Kernel | None = None
        self._tasks: trio.Nursery | None = None
        self._busy: Final[dict[str, trio.Event]] = {}
        self._running: Final[dict[str, trio.CancelScope]] = {}

    def settle(self, kernel: Kernel) -> None:
        """Meet the stack.

        :raises TapekitError: it has no volumes that images are made of, or no
            engine for these.
        """
        if not isinstance(kernel.storage, MirrorStorage) or ENGINE not in kernel.engines:
            raise CATALOGUE.error("nothing-to-mirror")
        self._kernel = kernel

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let transfers run; the end waits for those that do, and cuts them
        when it is cancelled.
        """
        await trio.to_thread.run_sync(self._course().settle_interrupted)
        async with trio.open_nursery() as tasks:
            self._tasks = tasks
            yield
            self._tasks = None

    def operations(self) -> Sequence[OfferedOperation]:
        """What administrators can ask for."""
        return (
            ops.CREATE.performed_by(self._create),
            ops.SHOW.performed_by(self._show),
            ops.TRANSFER.performed_by(self._transfer),
            ops.WAIT.performed_by(self._wait),
            ops.ABORT.performed_by(self._abort),
            ops.BREAK.performed_by(self._break),
            ops.DELETE.performed_by(self._delete),
        )

    # Operations.

    async def _create(self, request: ops.CreateRequest) -> Relationship:
        async with self._alone(request.destination):
            return await trio.to_thread.run_sync(self._created, request)

    async def _show(self, _request: NoRequest) -> ops.RelationshipRows:
        rows = await trio.to_thread.run_sync(self._relationships().all)
        return ops.RelationshipRows(tuple(rows))

    async def _transfer(self, request: ops.TransferRequest) -> Relationship:
        if self._tasks is None:
            raise CATALOGUE.error("stack-is-stopping")
        plan: Plan = await self._tasks.start(self._run, request)
        return plan.relationship

    async def _wait(self, request: ops.DestinationRequest) -> Relationship:
        busy = self._busy.get(request.destination)
        if busy is not None:
            await busy.wait()
        return await trio.to_thread.run_sync(self._relationships().get, request.destination)

    async def _abort(self, request: ops.DestinationRequest) -> Relationship:
        running = self._running.get(request.destination)
        if running is None:
            raise CATALOGUE.error("nothing-to-abort", destination=request.destination)
        running.cancel()
        return await self._wait(request)

    async def _break(self, request: ops.DestinationRequest) -> Relationship:
        return await self._changed(request.destination, self._course().break_off, _destination)

    async def _delete(self, request: ops.DestinationRequest) -> NoReply:
        await self._changed(request.destination, self._course().delete, _both_volumes)
        return NoReply()

    async def _changed(
        self,
        destination: str,
        change: Callable[[str], _T],
        volumes: Callable[[Relationship], Sequence[str]],
    ) -> _T:
        """Change a relationship as a job of volumes that a movement waits for:
        it is too short to be aborted.

        :raises TapekitError: there is none, the storage of one of the volumes
            moves, or the change fails.
        """
        async with self._alone(destination):
            relationship = await trio.to_thread.run_sync(self._relationships().get, destination)
            stay = self._entered(relationship, volumes(relationship))
            try:
                stay.completes()
                return await trio.to_thread.run_sync(change, destination)
            finally:
                stay.leave()

    # Transfers.

    async def _run(self, request: ops.TransferRequest, task_status: trio.TaskStatus[Plan]) -> None:
        course = self._course()
        check = functools.partial(
            course.plan,
            request.destination,
            request.step,
            seeded=request.seeded,
            may_discard=request.may_discard,
        )
        async with self._alone(request.destination):
            plan = await trio.to_thread.run_sync(check)
            task_status.started(plan)
            with trio.CancelScope() as scope, self._dumps(plan):
                self._running[request.destination] = scope
                try:
                    await self._transferred(course, plan, scope)
                finally:
                    del self._running[request.destination]

    async def _transferred(self, course: Course, plan: Plan, scope: trio.CancelScope) -> None:
        """Make a transfer, and remember how it ended.

        :param scope: what an abort cancels.
        """
        self._announce("transfer-started", plan)
        sent = _Sent()
        with sent.stays:
            try:
                reason = await self._attempted(course, plan, sent)
            except BaseException:
                # Cancelled, which comes in groups too.
                await self._gave_up(course, plan, sent, _why_cut(plan, scope).advice)
                raise
            if reason is None:
                self._announce("transfer-finished", plan, bytes=sent.bytes)
            else:
                await self._gave_up(course, plan, sent, reason)

    async def _attempted(self, course: Course, plan: Plan, sent: _Sent) -> str | None:
        """Make a transfer, and tell why it failed if it did."""
        try:
            await self._send(course, plan, sent)
        except TapekitError as error:
            return error.advice
        except (ConnectionBroken, OSError) as error:
            return str(error) or "the data connection broke off"
        except Exception:  # noqa: BLE001 - a defect ends one transfer, not the stack
            destination = plan.relationship.destination
            _LOG.exception("the transfer to %s failed", destination)
            return CATALOGUE.error("transfer-defect", destination=destination).advice
        return None

    async def _gave_up(self, course: Course, plan: Plan, sent: _Sent, reason: str) -> None:
        """Remember why a transfer failed, and tell; also while being cancelled."""
        _LOG.error("%s: %s", plan.relationship.destination, reason)
        give_up = functools.partial(course.give_up, plan, sent.bytes, reason)
        try:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(give_up)
        except TapekitError as error:
            _LOG.error("%s: %s", plan.relationship.destination, error.advice)
        self._announce("transfer-failed", plan, reason=reason, bytes=sent.bytes)

    async def _send(self, course: Course, plan: Plan, sent: _Sent) -> None:
        stay = self._entered(plan.relationship, _both_volumes(plan.relationship))
        sent.stays.callback(stay.leave)
        await trio.to_thread.run_sync(course.begin, plan)
        transfer = await trio.to_thread.run_sync(prepare_transfer, self._met(), plan.wish)
        try:
            await transfer.run()
        finally:
            sent.bytes = transfer.bytes
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(transfer.close)
        stay.completes()
        await trio.to_thread.run_sync(course.finish, plan, sent.bytes)

    def _entered(self, relationship: Relationship, volumes: Sequence[str]) -> Stay:
        """The job of a change, or of all that a transfer does to both volumes
        before and after those of the engine; what breaks the engine's off ends
        it too.

        :raises TapekitError: the storage of one of them moves.
        """
        return self._met().volume_jobs.enter(
            volumes=volumes,
            engine=ENGINE,
            kind=JobKind.IMAGE_RESTORE,
            holder=relationship.holder,
        )

    def _dumps(self, plan: Plan) -> AbstractContextManager[None]:
        """What keeps dumps away while a destination becomes another one."""
        if plan.step is not Step.RESYNC:
            return nullcontext()
        return self._storage().dumps_suspended(plan.relationship.destination)

    def _created(self, request: ops.CreateRequest) -> Relationship:
        storage, relationships = self._storage(), self._relationships()
        if request.source == request.destination:
            raise CATALOGUE.error("mirror-of-itself", volume=request.source)
        for volume in (request.source, request.destination):
            require_flexvol(storage.volume_facts(volume))
        if relationships.find(request.destination) is not None:
            raise CATALOGUE.error("relationship-exists", destination=request.destination)
        if storage.volume_facts(request.destination).type is not VolumeType.DP:
            raise CATALOGUE.error("destination-not-protected", destination=request.destination)
        new = Relationship(
            id=uuid.uuid4().hex,
            source=request.source,
            destination=request.destination,
            kind=request.kind,
        )
        return relationships.write(new)

    @asynccontextmanager
    async def _alone(self, destination: str) -> AsyncIterator[None]:
        """Do something to a relationship that nobody else does anything to.

        :raises TapekitError: somebody does.
        """
        if destination in self._busy:
            raise CATALOGUE.error("relationship-busy", destination=destination)
        done = self._busy[destination] = trio.Event()
        try:
            yield
        finally:
            del self._busy[destination]
            done.set()

    def _announce(self, name: str, plan: Plan, /, **facts: str | int) -> None:
        kernel, relationship = self._met(), plan.relationship
        told = {
            "source": relationship.source,
            "destination": relationship.destination,
            "step": plan.step.value,
            **facts,
        }
        kernel.announce(Event(name=f"snapmirror.{name}", facts=told, time_s=kernel.clock()))

    def _course(self) -> Course:
        return Course(self._storage(), self._relationships(), self._met().clock)

    def _relationships(self) -> Relationships:
        return Relationships(self._met().state)

    def _storage(self) -> MirrorStorage:
        storage = self._met().storage
        assert isinstance(storage, MirrorStorage)
        return storage

    def _met(self) -> Kernel:
        assert self._kernel is not None, "the stack has not been assembled"
        return self._kernel


@final
class _Sent:
    """What a transfer has sent, for whoever tells of its end, and what is to
    leave then.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self.stays: Final = ExitStack()


def _destination(relationship: Relationship) -> Sequence[str]:
    return (relationship.destination,)


def _both_volumes(relationship: Relationship) -> Sequence[str]:
    return (relationship.source, relationship.destination)


def _why_cut(plan: Plan, scope: trio.CancelScope) -> TapekitError:
    """Why a transfer was cancelled: by an administrator, or with the server."""
    destination = plan.relationship.destination
    if scope.cancel_called:
        return CATALOGUE.error("transfer-aborted", destination=destination)
    return CATALOGUE.error("transfer-interrupted", destination=destination)
