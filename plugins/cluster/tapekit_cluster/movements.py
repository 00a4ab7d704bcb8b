"""The course of a movement: jobs out of the way, and back in.

To begin one is to keep new jobs out, to remember that, and to abort and wait
for those that run, in this order; an operator's movement that may not
override vetoes is stopped by the first of them instead. The storage itself
is moved by others. The one rule: a movement is told to be on only when no
job uses its storage any more.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Final, final

import trio

from tapekit.hookspecs.events import Event
from tapekit.hookspecs.movements import (
    Aggregate,
    AggregateStorage,
    HaPolicy,
    JobsInTheWay,
)
from tapekit_cluster import movement_operations as ops
from tapekit_cluster.errors import CATALOGUE
from tapekit_cluster.movement_ledger import MovementLedger
from tapekit_cluster.movement_operations import Domain, Movement, MovementKind
from tapekit_cluster.movement_texts import abort_of, refusal_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from tapekit.errors import TapekitError
    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit.hookspecs.movements import Abort, VolumeJob
    from tapekit.hookspecs.operations import NoRequest, OfferedOperation

__all__ = ["StorageMovements"]

_LOG: Final = logging.getLogger("tapekit.cluster")
_ALL: Final = "*"
_ONLY_AGGREGATE: Final = "aggr1"
"""What a storage without aggregates is called as a whole."""


@final
class StorageMovements:
    """Performs the operations on movements of a stack's storage."""

    def __init__(self, kernel: Callable[[], Kernel]) -> None:
        self._kernel: Final = kernel
        self._changing: Final = trio.Lock()
        self._known: MovementLedger | None = None

    def offered(self) -> tuple[OfferedOperation, ...]:
        """All of them, for the kernel."""
        return (
            ops.BEGIN_MOVEMENT.performed_by(self.begin),
            ops.END_MOVEMENT.performed_by(self.end),
            ops.MOVEMENTS.performed_by(self.list),
        )

    def load(self) -> None:
        """Go on with the movements that were on when the server ended; blocks.
        From here on one door judges all jobs.

        :raises TapekitError: what is remembered cannot be read.
        """
        for movement in self._ledger.on:
            _LOG.warning("still on, and keeping jobs out: %s", movement.kind.value)

    @property
    def _ledger(self) -> MovementLedger:
        if self._known is None:
            self._known = MovementLedger(self._kernel().state)
            self._kernel().volume_jobs.shut(self._refusal)
        return self._known

    # Beginning.

    async def begin(self, request: ops.MovementBegin) -> ops.MovementBegun:
        """Get jobs out of the way, and keep them out.

        :raises TapekitError: jobs veto it, do not end in time, or it makes no
            sense here.
        """
        async with self._changing:
            asked = self._checked(request)
            movement = self._ledger.movement(asked.kind.domain) or asked
            if movement is asked:
                await self._start(movement)
            met = self._abort(movement)
        await self._await_left(movement, met, request.wait_s)
        aborted = tuple(str(job) for job in met if not job.is_complete)
        return ops.MovementBegun(movement=movement, aborted=aborted)

    async def _await_left(
        self, movement: Movement, jobs: Sequence[VolumeJob], limit_s: float
    ) -> None:
        """Wait until jobs have let go, without keeping anybody from abandoning
        the movement.

        :raises TapekitError: they have not in time, or it was abandoned, even
            if it was begun once more since.
        """
        left = functools.partial(self._kernel().volume_jobs.await_left, jobs, limit_s)
        staying = await trio.to_thread.run_sync(left, abandon_on_cancel=True)
        if self._ledger.movement(movement.kind.domain) is not movement:
            raise CATALOGUE.error("no-movement", domain=movement.kind.domain.value)
        if staying:
            raise CATALOGUE.error(
                "jobs-do-not-end",
                movement=movement.kind.value,
                limit_s=limit_s,
                jobs=_listed(staying),
            )

    def _checked(self, request: ops.MovementBegin) -> Movement:
        """The movement as it would be, or as it is if it is asked for again.

        :raises TapekitError: it makes no sense here.
        """
        movement = Movement(
            kind=request.kind,
            node=request.node,
            destination=request.destination,
            aggregates=self._moved(request),
            is_automatic=request.is_automatic,
            overrides=request.overrides or request.is_automatic,
            began_s=self._kernel().clock(),
        )
        other = self._ledger.movement(movement.kind.domain)
        if other is not None and _subject(other) != _subject(movement):
            raise CATALOGUE.error(
                "movement-is-on",
                movement=other.kind.value,
                aggregates=", ".join(other.aggregates),
            )
        return movement

    def _moved(self, request: ops.MovementBegin) -> tuple[str, ...]:
        """The aggregates of this stack that a movement takes along.

        :raises TapekitError: there are none, or others are asked for.
        """
        here, known = self._kernel().node_name, self._aggregates()
        names = [each.name for each in known]
        if request.kind.domain is Domain.METROCLUSTER:
            return tuple(names)
        if request.kind is MovementKind.RELOCATION:
            return self._relocated(request, names)
        found = [each.name for each in known if request.node in {here, each.home}]
        if not found:
            raise CATALOGUE.error("nothing-of-node", node=request.node, here=here)
        return tuple(found)

    def _relocated(self, request: ops.MovementBegin, names: Sequence[str]) -> tuple[str, ...]:
        here, places = self._kernel().node_name, self._places()
        if request.node == request.destination or here not in {request.node, request.destination}:
            raise CATALOGUE.error(
                "relocation-elsewhere",
                node=request.node,
                destination=request.destination,
                here=here,
            )
        if request.aggregates == (_ALL,):
            return tuple(name for name in names if places[name] == request.node)
        for name in request.aggregates:
            if name not in names:
                raise CATALOGUE.error(
                    "no-such-aggregate", aggregate=name, known=", ".join(names) or "none"
                )
            if places[name] != request.node:
                raise CATALOGUE.error("aggregate-elsewhere", aggregate=name, node=places[name])
        return request.aggregates

    async def _start(self, movement: Movement) -> None:
        """Shut the door, unless jobs veto, and remember it.

        :raises TapekitError: they do, or it cannot be remembered.
        """

        def refuse(job: VolumeJob) -> TapekitError | None:
            return refusal_of(job, movement) if self._meets(job, movement) else None

        def vetoes(job: VolumeJob) -> bool:
            return not movement.overrides and self._meets(job, movement)

        try:
            door = self._kernel().volume_jobs.shut(refuse, vetoes)
        except JobsInTheWay as caught:
            self._announce("movement-vetoed", movement)
            raise CATALOGUE.error(
                "movement-vetoed", movement=movement.kind.value, jobs=_listed(caught.jobs)
            ) from caught
        try:
            await trio.to_thread.run_sync(self._ledger.begin, movement)
        finally:
            # From here on the ledger keeps them out, or nothing does.
            door.open()
        self._announce("movement-began", movement)

    def _abort(self, movement: Movement) -> Sequence[VolumeJob]:
        """Abort the jobs that a movement meets; none does that it did not override.

        :returns: those that are to be waited for.
        """
        policies = {
            volume: each.ha_policy for each in self._aggregates() for volume in each.volumes
        }

        def how(job: VolumeJob) -> Abort | None:
            if not self._meets(job, movement):
                return None
            found = {policies.get(volume, HaPolicy.SFO) for volume in job.volumes}
            policy = HaPolicy.SFO if HaPolicy.SFO in found else HaPolicy.CFO
            return abort_of(job, movement, policy)

        met = self._kernel().volume_jobs.abort(how)
        for job in met:
            if not job.is_complete:
                _LOG.warning("%s: aborted by the %s", job, movement.kind.value)
        return met

    # While they are on.

    def _refusal(self, job: VolumeJob) -> TapekitError | None:
        for movement in self._ledger.on:
            if self._meets(job, movement):
                return refusal_of(job, movement)
        here, places = self._kernel().node_name, self._places()
        for each in self._aggregates():
            if places[each.name] != here and not set(job.volumes).isdisjoint(each.volumes):
                return CATALOGUE.error(
                    "aggregate-elsewhere", aggregate=each.name, node=places[each.name]
                )
        return None

    def _places(self) -> Mapping[str, str]:
        """The nodes at which aggregates are: where they came last, or belong."""
        here, came = self._kernel().node_name, self._ledger.places
        return {each.name: came.get(each.name) or each.home or here for each in self._aggregates()}

    def _meets(self, job: VolumeJob, movement: Movement) -> bool:
        """Whether a job uses a volume that is moved. A volume that is in no
        aggregate any more is moved with every movement.
        """
        known = self._aggregates()
        still = {volume for each in known for volume in each.volumes}
        moved = {v for each in known if each.name in movement.aggregates for v in each.volumes}
        return any(volume in moved or volume not in still for volume in job.volumes)

    # Ending.

    async def end(self, request: ops.MovementEnd) -> Movement:
        """Let jobs in again.

        :raises TapekitError: no such movement is on, or it cannot be written.
        """
        async with self._changing:
            movement = self._ledger.movement(request.domain)
            if movement is None:
                raise CATALOGUE.error("no-movement", domain=request.domain.value)
            places = self._places_after(movement) if request.is_complete else {}
            end = functools.partial(self._ledger.end, movement, places)
            await trio.to_thread.run_sync(end)
        what = "movement-completed" if request.is_complete else "movement-abandoned"
        self._announce(what, movement)
        return movement

    def _places_after(self, movement: Movement) -> Mapping[str, str]:
        """Where aggregates are after a movement, as far as it changes that. The
        server of a node that was taken over moves with its storage, and finds
        it where it was; its partner has what it took over.
        """
        here = self._kernel().node_name
        if movement.kind is MovementKind.RELOCATION:
            return dict.fromkeys(movement.aggregates, movement.destination)
        if movement.kind.domain is Domain.FAILOVER and movement.node != here:
            node = here if movement.kind is MovementKind.TAKEOVER else movement.node
            return dict.fromkeys(movement.aggregates, node)
        return {}

    # Showing.

    async def list(self, _request: NoRequest) -> ops.Movements:
        """List movements, aggregates, and the jobs that they would meet."""
        places = self._places()
        return ops.Movements(
            movements=tuple(self._ledger.on),
            aggregates=tuple(
                ops.AggregateRow(
                    name=each.name,
                    ha_policy=each.ha_policy.value,
                    node=places[each.name],
                    volumes=each.volumes,
                )
                for each in self._aggregates()
            ),
            jobs=tuple(map(str, self._kernel().volume_jobs.running())),
        )

    def _aggregates(self) -> Sequence[Aggregate]:
        storage = self._kernel().storage
        if isinstance(storage, AggregateStorage):
            return storage.aggregates()
        rows = () if storage is None else storage.filesystems()
        volumes = tuple(row.path for row in rows)
        return (Aggregate(name=_ONLY_AGGREGATE, ha_policy=HaPolicy.SFO, volumes=volumes),)

    def _announce(self, what: str, movement: Movement) -> None:
        kernel = self._kernel()
        facts = {
            "movement": movement.kind.value,
            "node": movement.node,
            "aggregates": ", ".join(movement.aggregates),
        }
        _LOG.info("%s: %s of %s", what, movement.kind.value, facts["aggregates"])
        kernel.announce(Event(name=f"cluster.{what}", facts=facts, time_s=kernel.clock()))


def _subject(movement: Movement) -> tuple[object, ...]:
    """What makes two requests the same movement."""
    return movement.kind, movement.node, movement.destination, movement.aggregates


def _listed(jobs: Collection[VolumeJob]) -> str:
    return "; ".join(map(str, jobs))
