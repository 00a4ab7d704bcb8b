"""One run of a backup that can be restarted, from its request to its end.

A first run makes a context when phase IV begins; a later one takes that
context, makes the first pass over the same Snapshot copy again, and writes the
stream on from a checkpoint. Whatever is written is what an uninterrupted run
would have written at the same offset. The one rule: a run that cannot prove
that it continues the same stream writes nothing.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit.errors import TapekitError
from tapekit.hookspecs.environment import BadEnvironment, Environment
from tapekit_dump.backup_history import NodeHistory
from tapekit_dump.checkpoints import Checkpoints, CountingSink, LossNotes
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.headers import RECORD_BYTES
from tapekit_dump.increment_base import IncrementBase, known_numbers
from tapekit_dump.number_pages import BadPage
from tapekit_dump.restart_contexts import RestartContext
from tapekit_dump.restart_outline import outline_of, steps_from

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tapekit.hookspecs.data_engine import FileHistory, Pairs, PathPermit
    from tapekit.hookspecs.environment import Variable
    from tapekit.hookspecs.storage import BackupTree, TreeTraits
    from tapekit.segments import DataSink
    from tapekit_dump.backup_report import BackupReport
    from tapekit_dump.backup_stream import ObjectStream
    from tapekit_dump.checkpoints import Places
    from tapekit_dump.dates import Dump, DumpDates
    from tapekit_dump.plan import Step
    from tapekit_dump.restart_contexts import Checkpoint, RestartContexts
    from tapekit_dump.spool import SpoolRoom
    from tapekit_dump.walk import TreeIndex

__all__ = ["RESTART_VARIABLES", "Resumption", "RestartRun", "Restarts", "Written"]

_LOG: Final = logging.getLogger("tapekit.dump")

_RESTARTABLE: Final = "RESTARTABLE"
_CONTEXT: Final = "RESTART_CONTEXT"
_OFFSET: Final = "RESTART_OFFSET"
_POSITION: Final = "RESTART_POSITION"
RESTART_VARIABLES: Final = frozenset({_RESTARTABLE, _CONTEXT, _OFFSET, _POSITION})
"""What another plugin declares where backups may be restarted."""

_NODE_FORMS: Final = frozenset("YTD1")
"""How values of HIST begin that ask for history by directory and node."""


class Written(NamedTuple):
    """What a stream is made of, as far as its context has to know."""

    path: str
    tree: BackupTree
    date: int
    level: int
    base: Dump | None
    records_per_block: int
    extent_bytes: int
    has_offset_map: bool


class Resumption(NamedTuple):
    """Where a restarted backup goes on."""

    context: RestartContext
    checkpoint: Checkpoint
    """The last one before what the client lacks."""
    position: int
    """Bytes of the stream that the client has."""

    @property
    def tree_path(self) -> str:
        """The tree in the Snapshot copy, as storages know it."""
        context = self.context
        return f"{context.volume}/.snapshot/{context.snapshot}/{context.subpath}".rstrip("/")


@final
class Restarts:
    """Judges what requests say of restarts."""

    def __init__(
        self, rows: Sequence[Variable], contexts: RestartContexts | None, every_bytes: int
    ) -> None:
        """:param rows: the variables that plugins declare for the engine.
        :param contexts: ``None`` if the storage cannot lock Snapshot copies.
        :param every_bytes: how far checkpoints are apart, at least.
        """
        self._rows: Final = rows
        self._contexts: Final = contexts
        self._every: Final = every_bytes
        self._is_offered: Final = RESTART_VARIABLES.issubset(row.name for row in rows)

    def asked(self, environment: Environment, permit: PathPermit) -> RestartRun | None:
        """The run that a request asks for; ``None`` for a plain backup.

        :param permit: says which contexts may be known, by their paths.
        :raises BadEnvironment: the variables do not go together.
        :raises PathNotPermitted: the context is that of a path that may not
            be read.
        :raises TapekitError: there is no such context, or nothing can be
            restarted in this stack.
        """
        if not self._is_offered:
            _refuse(environment)
            return None
        context_id = environment.text(_CONTEXT)
        if not context_id and not environment.switch(_RESTARTABLE):
            return None
        if self._contexts is None:
            raise CATALOGUE.error("restart-without-locks")
        form = environment.text("HIST") or "N"
        if form[:1].upper() not in _NODE_FORMS:
            raise CATALOGUE.raised_as(BadEnvironment, "restart-needs-history", value=form)
        if not context_id:
            return RestartRun(
                self._contexts, self._contexts.new_id(), environment, None, self._every
            )
        return self._resumed(self._contexts, context_id, environment, permit)

    def _resumed(
        self,
        contexts: RestartContexts,
        context_id: str,
        environment: Environment,
        permit: PathPermit,
    ) -> RestartRun:
        context = contexts.take(context_id)
        try:
            permit(context.path)
            stored = Environment(self._rows, context.pairs)
            _refuse_another(context_id, stored, environment)
            offset = _whole_records(environment.number(_OFFSET))
            checkpoint = self._checkpoint(contexts, context, offset)
        except BaseException:
            contexts.give_back(context_id)
            raise
        position = checkpoint.position if offset is None else offset
        resumption = Resumption(context, checkpoint, position)
        return RestartRun(contexts, context_id, stored, resumption, self._every)

    def _checkpoint(
        self, contexts: RestartContexts, context: RestartContext, offset: int | None
    ) -> Checkpoint:
        """The last checkpoint of which the client has everything before it."""
        known = contexts.checkpoints(context.id)
        usable = [each for each in known if offset is None or each.position <= offset]
        if not usable:
            raise CATALOGUE.raised_as(
                BadEnvironment,
                "restart-offset-too-early",
                context=context.id,
                offset=offset,
                first=known[0].position,
            )
        last = usable[-1]
        if offset is None or offset == last.position:
            return last
        noted_from = context.losses_noted_from
        if noted_from is None or last.position < noted_from:
            raise CATALOGUE.error("restart-losses-unknown", offset=offset)
        if not contexts.is_certain(context, last, offset):
            raise CATALOGUE.error("restart-meets-losses", offset=offset)
        return last


def _whole_records(offset: int | None) -> int | None:
    """Refuse to join two readings in the middle of a header, which may tell
    different access times.

    :raises BadEnvironment: the offset is not between two records of the stream.
    """
    if offset is not None and offset % RECORD_BYTES:
        raise CATALOGUE.raised_as(
            BadEnvironment, "restart-offset-uneven", offset=offset, record=RECORD_BYTES
        )
    return offset


def _refuse_another(context_id: str, stored: Environment, environment: Environment) -> None:
    """Refuse to restart a backup as something else.

    :raises BadEnvironment: naming the variable that differs.
    """
    for name in ("FILESYSTEM", "DMP_NAME", "MULTI_SUBTREE_NAMES"):
        value, kept = environment.text(name), stored.text(name)
        if environment.is_set(name) and value != kept:
            raise CATALOGUE.raised_as(
                BadEnvironment,
                "restart-of-another",
                context=context_id,
                name=name,
                value=value,
                kept=kept or "",
            )


def _refuse(environment: Environment) -> None:
    """Refuse a restart where nothing can be restarted."""
    for name, harmless in ((_RESTARTABLE, "N"), (_CONTEXT, "")):
        for value in environment.all(name)[-1:]:
            if value.strip().upper() not in {"", "N", "NO", "F", "FALSE", "0"}:
                raise CATALOGUE.error(
                    "variable-not-available", name=name, value=value, harmless=harmless
                )


@final
class RestartRun:
    """A backup that can be restarted, or is."""

    def __init__(
        self,
        contexts: RestartContexts,
        context_id: str,
        environment: Environment,
        resumption: Resumption | None,
        every_bytes: int,
    ) -> None:
        self._contexts: Final = contexts
        self._id: Final = context_id
        self.environment: Final = environment
        """What the backup was asked with, at first."""
        self.resumption: Final = resumption
        self._every: Final = every_bytes
        self._context: RestartContext | None = None
        self._sink: CountingSink | None = None
        self._losses_before = 0
        self._losses: LossNotes | None = None
        self._is_on = True

    @property
    def start(self) -> int:
        """Where in the stream this run begins to make it."""
        return 0 if self.resumption is None else self.resumption.checkpoint.position

    @property
    def position(self) -> int:
        """Where in the stream this run begins to hand it over."""
        return 0 if self.resumption is None else self.resumption.position

    def pairs(self) -> Pairs:
        """What the client has to know to restart (NDMP v4, DATA_GET_ENV)."""
        if not self._is_on:
            return ()
        return ((_CONTEXT, self._id), (_POSITION, str(self.position)))

    def counting(self, sink: DataSink, report: BackupReport) -> DataSink:
        """The sink as the run needs it."""

        def check_repeated() -> None:
            if report.losses > self._losses_before:
                raise CATALOGUE.error("restart-meets-losses", offset=self.position)

        begun = 0 if self.resumption is None else self.resumption.checkpoint.losses

        def count_losses() -> int:
            return begun + report.losses - self._losses_before

        def note(position: int, losses: int) -> None:
            if self._context is not None:
                self._contexts.note_losses(self._context, position, losses)

        notes = self._losses = LossNotes(count_losses, note)
        self._sink = CountingSink(sink, self.start, self.position, check_repeated, notes.leaving)
        return self._sink

    def check(self, tree: BackupTree, history: FileHistory | None) -> TapekitError | None:
        """Whether the tree and the session will do; gives what to warn of if a
        first run goes on without being restartable.

        :raises TapekitError: a restarted run cannot go on.
        """
        if history is None or history.wants_paths:
            raise CATALOGUE.error("restart-needs-history", value="N" if history is None else "F")
        resumption = self.resumption
        if resumption is not None and tree.taken_at_s != resumption.context.taken_at_s:
            raise CATALOGUE.error("unable-to-locate-bitmap-files")
        if tree.snapshot_name is None:
            self._is_on = False
            return CATALOGUE.error("not-restartable", volume=tree.volume_path)
        return None

    def base(
        self, path: str, dates: DumpDates, room: SpoolRoom, traits: TreeTraits
    ) -> IncrementBase | None:
        """What a restarted backup has been building on from its beginning.

        :param traits: those of the volume now.
        :raises TapekitError: its numbers are gone.
        """
        assert self.resumption is not None
        dump = self.resumption.context.base
        if dump is None:
            return None
        try:
            known = known_numbers(path, dump, dates, room, traits)
        except BadPage as bad:
            raise CATALOGUE.error("unable-to-locate-bitmap-files") from bad
        return IncrementBase(dump, known, room)

    def resume(self, stream: ObjectStream, index: TreeIndex, report: BackupReport) -> None:
        """Stand where the stream was at the checkpoint.

        :raises TapekitError: it is not the same stream.
        """
        assert self.resumption is not None
        context, checkpoint, _ = self.resumption
        history = stream.history
        assert isinstance(history, NodeHistory)
        found = outline_of(index, stream.packer, history.offsets)
        if found != (context.files_start, context.outline):
            raise CATALOGUE.error("unable-to-locate-bitmap-files")
        known = self._contexts.checkpoints(context.id)
        before = [each for each in known if each.position <= checkpoint.position]
        if history.offsets is not None:
            history.offsets.resume(b"".join(each.offsets for each in before))
        stream.lost_numbers.extend(number for each in before for number in each.lost)
        history.resume()
        self._context = self._contexts.go_on_from(context, checkpoint)
        self._losses_before = report.losses
        if self._losses is not None:
            self._losses.begin()

    def begin(self, stream: ObjectStream, index: TreeIndex, written: Written) -> None:
        """Keep the context of a first run, which has reached phase IV.

        :raises TapekitError: the state store or the storage refuses.
        """
        if not self._is_on:
            return
        snapshot = written.tree.snapshot_name
        assert snapshot is not None
        outline = outline_of(index, stream.packer, None)
        context = RestartContext(
            id=self._id,
            volume=written.tree.volume_path,
            path=written.path,
            subpath=written.tree.subpath,
            snapshot=snapshot,
            pairs=tuple(
                pair
                for pair in self.environment.pairs
                if pair[0] not in RESTART_VARIABLES or pair[0] == _RESTARTABLE
            ),
            date=written.date,
            level=written.level,
            base=written.base,
            files_start=outline.length,
            outline=outline.checksum,
            taken_at_s=written.tree.taken_at_s,
            records_per_block=written.records_per_block,
            extent_bytes=written.extent_bytes,
            has_offset_map=written.has_offset_map,
            updated_s=0,
            losses_noted_from=0,
        )
        self._context = self._contexts.begin(context)

    def places(self, stream: ObjectStream) -> Places | None:
        """Who hears how far phase IV is."""
        context, sink, losses = self._context, self._sink, self._losses
        if context is None or sink is None or losses is None:
            return None

        def keep(checkpoints: Sequence[Checkpoint]) -> None:
            self._contexts.add(context, checkpoints)

        places = Checkpoints(sink, stream, keep, self._every, losses)
        if self.resumption is None:
            losses.begin()
            places.reached(0)
        return places

    def rest(self, plan: Iterable[Step]) -> Iterable[Step]:
        """What of the plan is still to be written."""
        if self.resumption is None:
            return plan
        return steps_from(plan, self.resumption.checkpoint.number)

    def finished(self) -> None:
        """The stream is complete.

        :raises TapekitError: the state store refuses.
        """
        if self._context is not None:
            self._contexts.spend(self._context)

    def give_up(self) -> None:
        """No run is to go on with this backup.

        :raises TapekitError: the state store refuses.
        """
        begun = self._context or (self.resumption and self.resumption.context)
        if begun is not None:
            self._contexts.spend(begun)

    def close(self) -> None:
        """The backup has ended, and its tree is closed."""
        try:
            self._contexts.give_back(self._id)
        except TapekitError as error:
            # The backup is not to blame; the next start tries again.
            _LOG.warning("%s", error.advice)
