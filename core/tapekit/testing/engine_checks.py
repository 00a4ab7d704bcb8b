"""Whether a data engine keeps the contract of :class:`DataEngine`.

A trial is a filled tree, an empty one and the variables that an engine
needs to back up the one and restore into the other; the checks run trial
after trial with connections that are slow, cut oddly, or break. The one
rule: the checks know nothing of the stream but its bytes.
"""

from __future__ import annotations

import tempfile
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tapekit.errors import TapekitError
from tapekit.hookspecs.data_engine import (
    UNKNOWN_POSITION,
    Ability,
    FileResult,
    PathNotPermitted,
)
from tapekit.hookspecs.environment import BadEnvironment
from tapekit.segments import ConnectionBroken
from tapekit.testing.errors import CATALOGUE
from tapekit.testing.expecting import expect, expect_equal, expect_raises, title
from tapekit.testing.memory_connection import (
    FailingSink,
    FailingSource,
    MemoryRanges,
    MemorySink,
    MemorySource,
)
from tapekit.testing.memory_services import MemoryServices

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapekit.hookspecs.data_engine import (
        DataEngine,
        Pairs,
        RecoverJob,
        Selection,
    )

__all__ = ["EngineTrial", "check_data_engine"]

_UNKNOWN: Final = ("X_OF_NO_ENGINE", "kept as it came \udcff")
"""A variable that no engine declares, with a byte that is not UTF-8."""

_HOLDER: Final = "conformance check"


class EngineTrial(NamedTuple):
    """An engine with something to back up and a place to restore it.

    The tree must have some MiB, so that a stream has several batches.
    """

    engine: DataEngine
    backup: Pairs
    """Variables of a backup that succeeds."""
    recover: Pairs
    """Variables of its restore; what the backup returned is put before."""
    selections: Sequence[Selection]
    """The restore list that goes with them."""
    refused: Pairs
    """Variables of which one has a value that is not allowed."""
    compare: Callable[[], None]
    """Raises :class:`AssertionError` unless the restored tree is the same."""


def check_data_engine(make_trial: Callable[[], EngineTrial]) -> None:
    """Claim everything that the contract of :class:`DataEngine` promises.

    :param make_trial: a fresh trial at each call, its destination empty.
    :raises AssertionError: naming the first claim that does not hold.
    """
    for check in _CHECKS:
        trial = make_trial()
        try:
            check(trial)
        except (AssertionError, ConnectionBroken, TapekitError) as error:
            told = str(error) or type(error).__name__
            raise AssertionError(f"{title(check)}: {told}") from error


def _back_up(trial: EngineTrial, services: MemoryServices | None = None) -> tuple[bytes, Pairs]:
    """A stream of the trial's tree, and the variables that go with it."""
    sink = MemorySink()
    with closing(trial.engine.prepare_backup(trial.backup, _HOLDER)) as job:
        job.run(sink, services or MemoryServices())
        expect(sink.is_finished, "run returned without having finished the sink")
        return sink.data, tuple(job.environment())


def _restore(trial: EngineTrial, variables: Pairs, ranges: MemoryRanges) -> MemoryServices:
    """Restore the trial from a stream, and give what the job told."""
    services = MemoryServices()
    with closing(_prepare_recover(trial, variables)) as job:
        job.run(ranges, services)
    return services


def _prepare_recover(trial: EngineTrial, variables: Pairs) -> RecoverJob:
    return trial.engine.prepare_recover((*variables, *trial.recover), trial.selections, _HOLDER)


def _description(trial: EngineTrial) -> None:
    """The engine has a name and abilities that go together."""
    expect(trial.engine.name, "name is empty")
    abilities = trial.engine.abilities
    expect(isinstance(abilities, Ability), f"abilities is {abilities!r}, expected Ability flags")


def _round_trip(trial: EngineTrial) -> None:
    """What was backed up is restored; all batches come back."""
    data, variables = _back_up(trial)
    ranges = MemoryRanges(data)
    services = _restore(trial, variables, ranges)
    trial.compare()
    _expect_all_released(ranges)
    for path, result in services.results:
        expect_equal(result, FileResult.SUCCESSFUL, f"file_result of {path!r}")


def _oddly_cut_stream(trial: EngineTrial) -> None:
    """A restore does not depend on how the stream is cut into pieces."""
    data, variables = _back_up(trial)
    cuts = (7, 10240, 1, 4096, 65537, 512)
    ranges = MemoryRanges(data, lambda _, part: MemorySource(part, cuts=cuts, per_batch=3))
    _restore(trial, variables, ranges)
    trial.compare()
    _expect_all_released(ranges)


def _stream_of_extents(trial: EngineTrial) -> None:
    """A restore takes a stream that lies in a file and was not read."""
    data, variables = _back_up(trial)
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        fd = file.fileno()
        ranges = MemoryRanges(
            data,
            lambda offset, part: MemorySource(part, cuts=(8 << 20, 10240), file=fd, start=offset),
        )
        _restore(trial, variables, ranges)
    trial.compare()


def _progress_of_backup(trial: EngineTrial) -> None:
    """Progress counts bytes of the stream and never goes back."""
    seen: list[int] = []
    with closing(trial.engine.prepare_backup(trial.backup, _HOLDER)) as job:
        sink = MemorySink(watch=lambda _: seen.append(job.progress.bytes_processed))
        job.run(sink, MemoryServices())
        seen.append(job.progress.bytes_processed)
    expect_equal(seen, sorted(seen), "bytes_processed after each batch, in order")
    expect_equal(seen[-1], sink.length, "bytes_processed at the end, against the stream")


def _environment_is_kept(trial: EngineTrial) -> None:
    """The variables of a request come back as they were, unknown ones too."""
    given = (*trial.backup, _UNKNOWN)
    with closing(trial.engine.prepare_backup(given, _HOLDER)) as job:
        job.run(MemorySink(), MemoryServices())
        returned = list(job.environment())
    for pair in given:
        expect(pair in returned, f"environment lacks {pair!r} of the request")


def _bad_values_are_refused(trial: EngineTrial) -> None:
    """A value that is not allowed is refused before any data moves."""
    refused, engine = trial.refused, trial.engine
    expect_raises(
        BadEnvironment,
        lambda: engine.prepare_backup(refused, _HOLDER),
        f"prepare_backup of {refused!r}",
    )


def _permit_is_asked(trial: EngineTrial) -> None:
    """What may not be read or written is refused before any data moves."""
    engine = trial.engine
    expect_raises(
        PathNotPermitted,
        lambda: engine.prepare_backup(trial.backup, _HOLDER, _permit_nothing),
        "prepare_backup of paths that are not permitted",
    )
    variables = (*_back_up(trial)[1], *trial.recover)
    expect_raises(
        PathNotPermitted,
        lambda: engine.prepare_recover(variables, trial.selections, _HOLDER, _permit_nothing),
        "prepare_recover of paths that are not permitted",
    )


def _permit_nothing(path: str) -> None:
    raise CATALOGUE.raised_as(PathNotPermitted, "path-not-permitted", path=path)


def _close_is_idempotent(trial: EngineTrial) -> None:
    """A job that never ran is closed as often as one likes."""
    for _ in range(2):
        job = trial.engine.prepare_backup(trial.backup, _HOLDER)
        job.close()
        job.close()
    data, variables = _back_up(trial)
    restore = _prepare_recover(trial, variables)
    restore.close()
    restore.close()
    expect(data, "a backup after jobs that never ran has no bytes")


def _broken_sink(trial: EngineTrial) -> None:
    """A backup whose reader breaks off ends so, and holds nothing."""
    length = len(_back_up(trial)[0])
    open_after: list[int] = []
    for after in (0, length // 2, length // 2):
        with closing(trial.engine.prepare_backup(trial.backup, _HOLDER)) as job:
            sink = FailingSink(after)
            expect_raises(
                ConnectionBroken,
                partial(job.run, sink, MemoryServices()),
                f"run with a sink that breaks after {after} of {length} bytes",
            )
        open_after.append(_open_descriptors())
    expect_equal(open_after[2], open_after[1], "descriptors open after one more broken backup")


def _broken_source(trial: EngineTrial) -> None:
    """A restore whose stream breaks off ends so, and holds nothing."""
    data, variables = _back_up(trial)
    open_after: list[int] = []
    for _ in range(2):
        ranges = MemoryRanges(data, lambda _, part: FailingSource(part, len(data) // 2))
        expect_raises(
            ConnectionBroken,
            partial(_restore, trial, variables, ranges),
            "run with a source that breaks in the middle",
        )
        _expect_all_released(ranges)
        open_after.append(_open_descriptors())
    expect_equal(open_after[1], open_after[0], "descriptors open after one more broken restore")


def _cut_stream(trial: EngineTrial) -> None:
    """A stream that ends early is an error and not a success."""
    data, variables = _back_up(trial)
    ranges = MemoryRanges(data[: len(data) // 2])
    expect_raises(
        TapekitError,
        partial(_restore, trial, variables, ranges),
        "run with a stream that ends in the middle",
    )
    _expect_all_released(ranges)


def _file_history(trial: EngineTrial) -> None:
    """History names a node before it tells its attributes, and its place."""
    if not trial.engine.abilities & Ability.BACKUP_FH_DIR:
        return
    services = MemoryServices(wants_history=True)
    data, _ = _back_up(trial, services)
    history = services.collected
    expect(history.directories and history.nodes, "no file history though it was wanted")
    expect_equal(history.unnamed_nodes, [], "nodes whose attributes came before a name")
    for entry in history.nodes:
        expect(
            entry.position == UNKNOWN_POSITION or entry.position < len(data),
            f"position {entry.position} of node {entry.node} in a stream of {len(data)} bytes",
        )


def _path_history(trial: EngineTrial) -> None:
    """History by paths has a path for everything, and no other entries."""
    if not trial.engine.abilities & Ability.BACKUP_FH_FILE:
        return
    services = MemoryServices(wants_history=True, wants_paths=True)
    data, _ = _back_up(trial, services)
    history = services.collected
    expect(history.files, "no file history though it was wanted")
    expect_equal((history.directories, history.nodes), ([], []), "entries of the other form")
    for path, entry in history.files:
        expect(path.startswith(b"/"), f"the path {path!r} does not begin at the root")
        expect(
            entry.position == UNKNOWN_POSITION or entry.position < len(data),
            f"position {entry.position} of {path!r} in a stream of {len(data)} bytes",
        )


def _open_descriptors() -> int:
    """How many descriptors this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def _expect_all_released(ranges: MemoryRanges) -> None:
    for (offset, _), source in zip(ranges.requests, ranges.sources, strict=True):
        expect_equal(source.released, source.taken, f"batches released of the range at {offset}")


_CHECKS: Final[tuple[Callable[[EngineTrial], None], ...]] = (
    _description,
    _round_trip,
    _oddly_cut_stream,
    _stream_of_extents,
    _progress_of_backup,
    _environment_is_kept,
    _bad_values_are_refused,
    _permit_is_asked,
    _close_is_idempotent,
    _broken_sink,
    _broken_source,
    _cut_stream,
    _file_history,
    _path_history,
)
