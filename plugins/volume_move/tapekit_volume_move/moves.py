"""The moves of a running stack: one task for each volume that moves.

A move makes passes until nothing but the last changes is missing, and then
cuts over: it keeps new jobs out, waits for those that run, makes one more
pass, and has the storage lead the volume's name to the new place. The one
rule: a cutover that cannot be shown to lose nothing does not happen.
"""

from __future__ import annotations

import functools
import logging
import uuid
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final, final

import msgspec
import trio

from tapekit.errors import TapekitError
from tapekit.hookspecs.events import Event
from tapekit.hookspecs.movements import AggregateStorage, JobsInTheWay
from tapekit.hookspecs.volume_moves import MovableStorage
from tapekit.segments import ConnectionBroken
from tapekit_snapmirror.transfer import ENGINE, prepare_transfer
from tapekit_volume_move import doors
from tapekit_volume_move import operations as ops
from tapekit_volume_move.errors import CATALOGUE
from tapekit_volume_move.passes import Passes
from tapekit_volume_move.records import CutoverAction, Move, MoveLedger, Phase, Step

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit.hookspecs.movements import VolumeJob
    from tapekit.hookspecs.operations import NoRequest, OfferedOperation

__all__ = ["VolumeMoves"]

_LOG: Final = logging.getLogger("tapekit.volume_move")
_TICK_S: Final = 0.05
"""Longer than file systems take to tell two change times apart."""
_PAUSE_S: Final = 10.0
"""Between two cutovers of which the first failed for no job's sake: each walks the volume."""


@final
class _Running:
    """A move that is on, for those who ask for it while it is."""

    def __init__(self, move: Move) -> None:
        self.move = move
        self.scope: Final = trio.CancelScope()
        self.settled = trio.Event()
        """Set while nothing happens without being asked for."""
        self.triggered = trio.Event()

    def settle(self) -> None:
        """Nothing happens any more without being asked for."""
        self.settled.set()


@final
class VolumeMoves:
    """All moves of a stack; for one event loop, after :meth:`settle`."""

    def __init__(self) -> None:
        self._kernel: Kernel | None = None
        self._tasks: trio.Nursery | None = None
        self._running: Final[dict[str, _Running]] = {}
        self._changing: Final = trio.Lock()

    def settle(self, kernel: Kernel) -> None:
        """Meet the stack.

        :raises TapekitError: nothing in it can be moved.
        """
        if not isinstance(kernel.storage, MovableStorage) or ENGINE not in kernel.engines:
            raise CATALOGUE.error("nothing-to-move")
        self._kernel = kernel

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let moves run; the end interrupts those that do."""
        await trio.to_thread.run_sync(self._settle_interrupted)
        async with trio.open_nursery() as tasks:
            self._tasks = tasks
            yield
            self._tasks = None
            tasks.cancel_scope.cancel()

    def operations(self) -> Sequence[OfferedOperation]:
        """What administrators can ask for."""
        return (
            ops.START.performed_by(self._start),
            ops.SHOW.performed_by(self._show),
            ops.WAIT.performed_by(self._wait),
            ops.TRIGGER.performed_by(self._trigger),
            ops.ABORT.performed_by(self._abort),
        )

    # Operations.

    async def _start(self, request: ops.StartRequest) -> Move:
        if self._tasks is None:
            raise CATALOGUE.error("stack-is-stopping")
        async with self._changing:
            on = self._running.get(request.volume)
            if on is not None:
                raise CATALOGUE.error(
                    "move-is-on",
                    volume=request.volume,
                    aggregate=on.move.aggregate,
                    phase=on.move.phase.value,
                )
            move = await trio.to_thread.run_sync(self._planned, request)
            started: Move = await self._tasks.start(self._run, move)
            return started

    async def _show(self, _request: NoRequest) -> ops.Moves:
        return ops.Moves(tuple(await trio.to_thread.run_sync(self._ledger().every)))

    async def _wait(self, request: ops.VolumeRequest) -> Move:
        on = self._running.get(request.volume)
        if on is not None:
            await on.settled.wait()
        found = await trio.to_thread.run_sync(self._ledger().find, request.volume)
        if found is None:
            raise CATALOGUE.error("no-move", volume=request.volume)
        return found

    async def _trigger(self, request: ops.VolumeRequest) -> Move:
        on = self._of(request.volume)
        if on.move.phase is not Phase.DEFERRED:
            raise CATALOGUE.error("not-deferred", volume=request.volume, phase=on.move.phase.value)
        # In this order, or who waits from now on would find it deferred.
        on.settled = trio.Event()
        on.triggered.set()
        return on.move

    async def _abort(self, request: ops.VolumeRequest) -> Move:
        on = self._running.get(request.volume)
        if on is not None:
            # In this order, or a deferred move would seem to have ended already.
            on.settled = trio.Event()
            on.scope.cancel()
            return await self._wait(request)
        async with self._changing:
            return await trio.to_thread.run_sync(self._given_up, request.volume)

    def _of(self, volume: str) -> _Running:
        on = self._running.get(volume)
        if on is None:
            raise CATALOGUE.error("no-move", volume=volume)
        return on

    def _planned(self, request: ops.StartRequest) -> Move:
        """The move as it begins, or goes on."""
        arriving = self._storage().make_room(request.volume, request.aggregate)
        before = self._ledger().find(request.volume)
        goes_on = before is not None and before.phase in {Phase.FAILED, Phase.INTERRUPTED}
        return self._ledger().write(
            Move(
                id=before.id if before is not None and goes_on else uuid.uuid4().hex,
                volume=request.volume,
                aggregate=request.aggregate,
                arriving=arriving,
                window_s=request.window_s,
                action=request.action,
                began_s=self._met().clock(),
                passes=before.passes if before is not None and goes_on else 0,
                bytes=before.bytes if before is not None and goes_on else 0,
            )
        )

    def _given_up(self, volume: str) -> Move:
        """Give up a move that does not run."""
        move = self._ledger().find(volume)
        if move is None or move.phase not in {Phase.FAILED, Phase.INTERRUPTED}:
            raise CATALOGUE.error("no-move", volume=volume)
        return self._cleared(move)

    def _cleared(self, move: Move) -> Move:
        """Forget what has been moved, which stays where it lies."""
        directory = self._storage().give_up_room(move.volume)
        self._passes().clear(move)
        reason = CATALOGUE.error("move-aborted", volume=move.volume, directory=directory).advice
        aborted = move.after(Step.ABORT, ended_s=self._met().clock(), reason=reason)
        return self._ledger().write(aborted)

    # One move.

    async def _run(self, move: Move, task_status: trio.TaskStatus[Move]) -> None:
        on = _Running(move)
        with ExitStack() as undo:
            try:
                door = self._met().volume_jobs.shut(
                    doors.while_moving(move), doors.is_baseline(move)
                )
            except JobsInTheWay as caught:
                error = CATALOGUE.error(
                    "restore-in-the-way", volume=move.volume, jobs=doors.listed(caught.jobs)
                )
                await self._step(on, Step.FAIL, error)
                raise error from caught
            undo.callback(door.open)
            undo.callback(self._running.pop, move.volume)
            undo.callback(on.settle)
            self._running[move.volume] = on
            task_status.started(move)
            self._announce("started", on.move)
            with on.scope:
                await self._moved(on)

    async def _moved(self, on: _Running) -> None:
        """Make a move, and remember how it ended."""
        try:
            await self._pass(on)
            await self._cut_over(on)
        except TapekitError as error:
            await self._failed(on, error)
        except (ConnectionBroken, OSError) as error:
            reason = str(error) or "the data connection broke off"
            await self._failed(
                on, CATALOGUE.error("move-failed", volume=on.move.volume, reason=reason)
            )
        except Exception:  # noqa: BLE001 - a defect ends one move, not the stack
            _LOG.exception("the move of %s failed", on.move.volume)
            await self._failed(on, CATALOGUE.error("move-defect", volume=on.move.volume))
        except BaseException:
            # Cancelled, which comes in groups too.
            with trio.CancelScope(shield=True):
                await self._cut_short(on)
            raise

    async def _cut_short(self, on: _Running) -> None:
        """A move was aborted, or the server ends."""
        if not on.move.phase.is_on:
            return
        if not on.scope.cancel_called:
            await self._failed(
                on, CATALOGUE.error("move-interrupted", volume=on.move.volume), Step.INTERRUPT
            )
            return
        try:
            on.move = await trio.to_thread.run_sync(self._cleared, on.move)
        except TapekitError as error:
            await self._failed(on, error)
        else:
            self._announce("aborted", on.move)

    async def _failed(self, on: _Running, error: TapekitError, step: Step = Step.FAIL) -> None:
        _LOG.error("%s: %s", on.move.volume, error.advice)
        with trio.CancelScope(shield=True):
            try:
                await self._step(on, step, error, ended_s=self._met().clock())
            except TapekitError as unwritten:
                # The next start finds a move that has been cut, and tells that.
                _LOG.error("%s: %s", on.move.volume, unwritten.advice)
        self._announce(on.move.phase.value, on.move)

    async def _pass(self, on: _Running) -> None:
        """Send what has changed.

        :raises TapekitError: it did not arrive.
        """
        on.move = msgspec.structs.replace(on.move, passes=on.move.passes + 1)
        await trio.to_thread.run_sync(self._ledger().write, on.move)
        passes, move = self._passes(), on.move
        begin = functools.partial(passes.begin, move, trio.from_thread.check_cancelled)
        try:
            wish = await trio.to_thread.run_sync(begin)
            transfer = await trio.to_thread.run_sync(prepare_transfer, self._met(), wish)
            try:
                await transfer.run()
            finally:
                on.move = msgspec.structs.replace(move, bytes=move.bytes + transfer.bytes)
                with trio.CancelScope(shield=True):
                    await trio.to_thread.run_sync(transfer.close)
            await trio.to_thread.run_sync(passes.end, move)
        except BaseException:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(passes.fail, move)
            raise

    # The cutover.

    async def _cut_over(self, on: _Running) -> None:
        """Try cutovers until one succeeds.

        :raises TapekitError: one did not, and another one is not to be tried.
        """
        if on.move.action is CutoverAction.WAIT:
            await self._defer(on, CATALOGUE.error("cutover-waits"))
        while True:
            # So that jobs wait for the last changes alone.
            await self._pass(on)
            deferral = await self._attempt(on)
            if deferral is None:
                return
            error, by_hand = deferral
            if by_hand or on.move.action in {CutoverAction.DEFER, CutoverAction.WAIT}:
                await self._defer(on, error)
            elif on.move.action is CutoverAction.ABORT:
                raise error
            else:
                await self._retry(on, error)

    async def _defer(self, on: _Running, error: TapekitError) -> None:
        """Wait until a cutover is triggered."""
        await self._step(on, Step.DEFER, error)
        self._announce("cutover-deferred", on.move)
        on.triggered = trio.Event()
        on.settle()
        await on.triggered.wait()
        await self._step(on, Step.REPLICATE, None)

    async def _retry(self, on: _Running, error: TapekitError) -> None:
        """Wait until the jobs that are there have ended, or for a while if no
        job was in the way, then go on.
        """
        await self._step(on, Step.REPLICATE, error)
        jobs = self._others(on.move)
        if not jobs:
            await trio.sleep(_PAUSE_S)
        while jobs:
            left = functools.partial(self._met().volume_jobs.await_left, jobs, _TICK_S * 20)
            jobs = await trio.to_thread.run_sync(left, abandon_on_cancel=True)

    async def _attempt(self, on: _Running) -> tuple[TapekitError, bool] | None:
        """Try one cutover.

        :returns: why it did not succeed, and whether only an administrator
            tries again; ``None`` if it did.
        """
        await self._step(on, Step.CUT_OVER, None, attempts=on.move.attempts + 1)
        jobs = self._met().volume_jobs
        try:
            door = jobs.shut(doors.at_cutover(on.move), doors.is_smtape(on.move))
        except JobsInTheWay as caught:
            listed = doors.listed(caught.jobs)
            return CATALOGUE.error("smtape-is-running", jobs=listed), True
        try:
            with trio.move_on_after(on.move.window_s) as window:
                await self._last_changes(on)
            if window.cancelled_caught:
                return self._too_late(on.move), False
        except TapekitError as error:
            return error, False
        finally:
            door.open()
        return None

    async def _last_changes(self, on: _Running) -> None:
        """Have all jobs end, send what is missing, and move.

        :raises TapekitError: the volume stays where it is.
        """
        staying = self._others(on.move)
        left = functools.partial(self._met().volume_jobs.await_left, staying, on.move.window_s)
        if staying and await trio.to_thread.run_sync(left, abandon_on_cancel=True):
            raise self._too_late(on.move)
        storage, volume = self._storage(), on.move.volume
        keep_going = trio.from_thread.check_cancelled
        unchanged = await trio.to_thread.run_sync(storage.fingerprint, volume, keep_going)
        # What changes from here on has another change time than what was seen.
        await trio.sleep(_TICK_S)
        await self._pass(on)
        directory = await trio.to_thread.run_sync(storage.move_in, volume, unchanged, keep_going)
        with trio.CancelScope(shield=True):
            is_unchanged = await trio.to_thread.run_sync(storage.is_unchanged, directory, unchanged)
            await self._complete(on, directory, is_unchanged=is_unchanged)

    def _too_late(self, move: Move) -> TapekitError:
        """Why a cutover did not succeed within its window."""
        jobs = self._others(move)
        if jobs:
            return CATALOGUE.error(
                "jobs-do-not-end", window_s=move.window_s, jobs=doors.listed(jobs)
            )
        return CATALOGUE.error("window-ended", volume=move.volume, window_s=move.window_s)

    async def _complete(self, on: _Running, directory: str, *, is_unchanged: bool) -> None:
        error = None
        if not is_unchanged:
            error = CATALOGUE.error("written-too-late", volume=on.move.volume, directory=directory)
            _LOG.error("%s", error.advice)
        now = self._met().clock()
        await self._step(on, Step.COMPLETE, error, ended_s=now, left=directory)
        await trio.to_thread.run_sync(self._clear_quietly, on.move)
        self._announce("completed", on.move)

    def _clear_quietly(self, move: Move) -> None:
        """Delete the move's own copies; one that stays does no harm."""
        try:
            self._passes().clear(move)
        except TapekitError as error:
            _LOG.warning("%s: %s", move.volume, error.advice)

    def _others(self, move: Move) -> Sequence[VolumeJob]:
        """The jobs of the volume that are not the move's own."""
        other = doors.is_other(move)
        return [job for job in self._met().volume_jobs.running(move.volume) if other(job)]

    # What is remembered and told.

    async def _step(
        self, on: _Running, step: Step, error: TapekitError | None, **changes: object
    ) -> None:
        reason = None if error is None else error.advice
        on.move = on.move.after(step, reason=reason, **changes)
        await trio.to_thread.run_sync(self._ledger().write, on.move)

    def _settle_interrupted(self) -> None:
        """Tell of moves that the end of the server has cut.

        :raises TapekitError: the state cannot be read or written.
        """
        for move in self._ledger().every():
            if not move.phase.is_on:
                continue
            now = self._met().clock()
            if self._is_there(move):
                self._ledger().write(move.after(Step.COMPLETE, ended_s=now, reason=None))
                self._clear_quietly(move)
                continue
            error = CATALOGUE.error("move-interrupted", volume=move.volume)
            self._ledger().write(move.after(Step.INTERRUPT, ended_s=now, reason=error.advice))

    def _is_there(self, move: Move) -> bool:
        """Whether a volume is in the aggregate that it moves to."""
        storage = self._storage()
        aggregates = storage.aggregates() if isinstance(storage, AggregateStorage) else ()
        return any(
            each.name == move.aggregate and move.volume in each.volumes for each in aggregates
        )

    def _announce(self, what: str, move: Move) -> None:
        kernel = self._met()
        facts = {"volume": move.volume, "aggregate": move.aggregate, "phase": move.phase.value}
        _LOG.info("%s: move to %s: %s", move.volume, move.aggregate, what)
        kernel.announce(Event(name=f"volume_move.{what}", facts=facts, time_s=kernel.clock()))

    def _ledger(self) -> MoveLedger:
        return MoveLedger(self._met().state)

    def _passes(self) -> Passes:
        return Passes(self._storage())

    def _storage(self) -> MovableStorage:
        storage = self._met().storage
        assert isinstance(storage, MovableStorage)
        return storage

    def _met(self) -> Kernel:
        assert self._kernel is not None, "the stack has not been assembled"
        return self._kernel
