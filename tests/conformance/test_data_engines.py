"""The engine checks over every data engine, and over engines with one fault each."""

from __future__ import annotations

import itertools
import json
import os
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tapekit.errors import Fault, TapekitError
from tapekit.hookspecs.data_engine import (
    Ability,
    FileResult,
    JobProgress,
    JobServices,
    NodeEntry,
    Pairs,
    PathPermit,
    RangeSource,
    Selection,
    permit_every_path,
)
from tapekit.hookspecs.environment import Environment, Kind, Variable
from tapekit.hookspecs.mover import UNLIMITED
from tapekit.kernel import assemble, installed
from tapekit.streams import EndOfStream, StreamReader, StreamWriter
from tapekit.testing import EngineTrial, check_data_engine
from tapekit_trees.comparing import compare_trees
from tapekit_trees.making import make_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapekit.segments import DataSink

ROWS = (
    Variable(name="FILESYSTEM", engine="list", kind=Kind.TEXT, summary="What to back up"),
    Variable(name="HIST", engine="list", kind=Kind.SWITCH, summary="File history"),
)
DAMAGED = Fault(id="x.damaged", message="{path} is incomplete", cause="-", action="-")


class ListBackup:
    """Files of one folder: a JSON line of names and sizes, then their bytes."""

    def __init__(self, variables: Environment) -> None:
        self._variables = variables
        self._root = Path(variables.text("FILESYSTEM") or "")
        self._done = 0

    @property
    def progress(self) -> JobProgress:
        return JobProgress(self._done, None, None)

    def run(self, sink: DataSink, services: JobServices) -> None:
        writer = StreamWriter(sink)
        try:
            self._write(writer, services)
            writer.finish()
        finally:
            writer.abandon()
        self._done = writer.position

    def _write(self, writer: StreamWriter, services: JobServices) -> None:
        files = sorted(self._root.iterdir())
        table = json.dumps([(file.name, file.stat().st_size) for file in files]).encode()
        writer.write(struct.pack(">I", len(table)) + table)
        for node, file in enumerate(files):
            self.tell(services, node, file, writer.position)
            self.send(writer, file)
            self._done = writer.position

    def tell(self, services: JobServices, node: int, file: Path, position: int) -> None:
        if services.history is None:
            return
        name, entry = os.fsencode(file.name), NodeEntry(node, 0, 0, 0, 0, 0, 0, 0, 1, position)
        if services.history.wants_paths:
            services.history.add_files([(b"/" + name, entry)])
        else:
            services.history.add_directories([(name, node, 0)])
            services.history.add_nodes([entry])

    def send(self, writer: StreamWriter, file: Path) -> None:
        fd = os.open(file, os.O_RDONLY)
        writer.extent(fd, 0, file.stat().st_size)
        writer.close_when_used(fd)

    def environment(self) -> Pairs:
        return (*self._variables.pairs, ("TYPE", "list"))

    def close(self) -> None:
        """Nothing to free."""


class ListRecover:
    """Writes the files of a stream into a folder."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._done = 0

    @property
    def progress(self) -> JobProgress:
        return JobProgress(self._done, None, None)

    def run(self, stream: RangeSource, services: JobServices) -> None:
        reader = StreamReader(stream.request(0, UNLIMITED))
        try:
            (length,) = struct.unpack(">I", reader.take(4))
            for name, size in json.loads(bytes(reader.take(length))):
                self._receive(reader, name, size)
                services.file_result(name, FileResult.SUCCESSFUL)
        finally:
            reader.close()

    def _receive(self, reader: StreamReader, name: str, size: int) -> None:
        fd = os.open(self._target / name, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            reader.copy_to(fd, 0, size)
        except EndOfStream:
            raise TapekitError(DAMAGED, {"path": name}) from None
        finally:
            os.close(fd)

    def close(self) -> None:
        """Nothing to free."""


class ListEngine:
    """A right engine, as small as they come; the subclasses do one thing wrong."""

    name = "list"
    abilities = Ability.BACKUP_FH_FILE | Ability.BACKUP_FH_DIR | Ability.RECOVER_FILELIST
    backup: type[ListBackup] = ListBackup
    recover: type[ListRecover] = ListRecover

    def prepare_backup(
        self, environment: Pairs, holder: str, permit: PathPermit = permit_every_path
    ) -> ListBackup:
        del holder
        permit(dict(environment).get("FILESYSTEM", ""))
        variables = Environment(ROWS, environment)
        variables.check()
        return self.backup(variables)

    def prepare_recover(
        self,
        environment: Pairs,
        selections: Sequence[Selection],
        holder: str,
        permit: PathPermit = permit_every_path,
    ) -> ListRecover:
        del environment, holder
        permit(selections[0].destination_path)
        return self.recover(Path(selections[0].destination_path))


@pytest.fixture
def trial(tmp_path: Path) -> Callable[[Any], Callable[[], EngineTrial]]:
    """Makes the makers of trials: a folder of files and an empty one."""
    source = tmp_path / "source"
    source.mkdir()
    for number, size in enumerate((0, 1, 100_000, 3 << 20, 2_500_000, 7)):
        (source / f"file{number}").write_bytes(os.urandom(size))
    count = iter(range(1000))

    def maker(engine: Any) -> Callable[[], EngineTrial]:
        def fresh() -> EngineTrial:
            target = tmp_path / f"target{next(count)}"
            target.mkdir()

            def compare() -> None:
                for file in source.iterdir():
                    assert (target / file.name).read_bytes() == file.read_bytes(), file.name

            return EngineTrial(
                engine=engine,
                backup=(("FILESYSTEM", str(source)), ("HIST", "Y")),
                recover=(),
                selections=[Selection("", str(target), "", "", 0, 0)],
                refused=(("FILESYSTEM", str(source)), ("HIST", "perhaps")),
                compare=compare,
            )

        return fresh

    return maker


def test_the_smallest_engine_keeps_the_contract(trial: Any) -> None:
    check_data_engine(trial(ListEngine()))


@pytest.mark.parametrize("snapshots", ["none", "copy"])
def test_dump_keeps_the_contract(tmp_path: Path, snapshots: str) -> None:
    source = tmp_path / "source"
    make_tree(source, files=100, wide=300, deep=10, far=4 << 20)
    (source / "large").write_bytes(os.urandom(3 << 20))
    targets = (f"target{n}" for n in itertools.count())
    stack = tmp_path / "tapekit.toml"
    (tmp_path / "targets").mkdir()
    stack.write_text(
        'plugins = ["volumes", "snap_copy", "dump"]\n\n'
        '[[volumes.volume]]\npath = "/vs1/source"\ndirectory = "source"\n'
        f'snapshots = "{snapshots}"\n\n'
        '[[volumes.volume]]\npath = "/vs1/targets"\ndirectory = "targets"\n'
    )
    engine = assemble(stack, installed(), clock=time.time).engines["dump"]

    def fresh() -> EngineTrial:
        name = next(targets)

        def compare() -> None:
            found = compare_trees(source, tmp_path / "targets" / name)
            assert not found, "\n".join(map(str, found))

        return EngineTrial(
            engine=engine,
            backup=(("FILESYSTEM", "/vs1/source"), ("HIST", "Y")),
            recover=(),
            selections=[Selection("", f"/vs1/targets/{name}", "", "", 0, 0)],
            refused=(("FILESYSTEM", "/vs1/source"), ("HIST", "perhaps")),
            compare=compare,
        )

    check_data_engine(fresh)


class ForgetsVariables(ListBackup):
    def environment(self) -> Pairs:
        return [(row.name, self._variables.text(row.name) or "") for row in ROWS]


class ProgressGoesBack(ListBackup):
    @property
    def progress(self) -> JobProgress:
        return JobProgress(-self._done, None, None)


class ProgressStops(ListBackup):
    @property
    def progress(self) -> JobProgress:
        return JobProgress(min(self._done, 1000), None, None)


class NodesBeforeNames(ListBackup):
    def tell(self, services: JobServices, node: int, file: Path, position: int) -> None:
        if services.history is not None:
            services.history.add_nodes([NodeEntry(node, 0, 0, 0, 0, 0, 0, 0, 1, position)])
            services.history.add_directories([(os.fsencode(file.name), node, 0)])


class NamesWithoutRoot(ListBackup):
    def tell(self, services: JobServices, node: int, file: Path, position: int) -> None:
        super().tell(services, node, file, position)
        if services.history is not None and services.history.wants_paths:
            entry = NodeEntry(node, 0, 0, 0, 0, 0, 0, 0, 1, position)
            services.history.add_files([(os.fsencode(file.name), entry)])


class OneFormForAll(ListBackup):
    def tell(self, services: JobServices, node: int, file: Path, position: int) -> None:
        super().tell(services, node, file, position)
        if services.history is not None:
            services.history.add_directories([(os.fsencode(file.name), node, 0)])


class ClosesTooEarly(ListBackup):
    def send(self, writer: StreamWriter, file: Path) -> None:
        fd = os.open(file, os.O_RDONLY)
        writer.extent(fd, 0, file.stat().st_size)
        os.close(fd)


class KeepsFilesOpen(ListBackup):
    def send(self, writer: StreamWriter, file: Path) -> None:
        writer.extent(os.open(file, os.O_RDONLY), 0, file.stat().st_size)


class NeverFinishes(ListBackup):
    def run(self, sink: DataSink, services: JobServices) -> None:
        writer = StreamWriter(sink)
        self._write(writer, services)
        writer.turn()


class TakesEarlyEnds(ListRecover):
    def _receive(self, reader: StreamReader, name: str, size: int) -> None:
        try:
            super()._receive(reader, name, size)
        except TapekitError:
            return


class KeepsBatches(ListRecover):
    def run(self, stream: RangeSource, services: JobServices) -> None:
        super().run(stream, services)
        stream.request(0, 10).get()


class OnlyOneClose(ListBackup):
    _is_closed = False

    def close(self) -> None:
        assert not self._is_closed, "closed twice"
        self._is_closed = True


class AnyValue(ListEngine):
    def prepare_backup(
        self, environment: Pairs, holder: str, permit: PathPermit = permit_every_path
    ) -> ListBackup:
        del holder
        permit(dict(environment).get("FILESYSTEM", ""))
        return ListBackup(Environment(ROWS, environment))


class AsksNoPermit(ListEngine):
    def prepare_backup(
        self, environment: Pairs, holder: str, permit: PathPermit = permit_every_path
    ) -> ListBackup:
        del permit
        return super().prepare_backup(environment, holder)


class WritesAnywhere(ListEngine):
    def prepare_recover(
        self,
        environment: Pairs,
        selections: Sequence[Selection],
        holder: str,
        permit: PathPermit = permit_every_path,
    ) -> ListRecover:
        del permit
        return super().prepare_recover(environment, selections, holder)


def engine_with(job: type[ListBackup | ListRecover]) -> ListEngine:
    engine = ListEngine()
    if issubclass(job, ListBackup):
        engine.backup = job
    else:
        engine.recover = job
    return engine


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        (engine_with(ForgetsVariables), "environment lacks"),
        (engine_with(ProgressGoesBack), "bytes_processed"),
        (engine_with(ProgressStops), "against the stream"),
        (engine_with(NodesBeforeNames), "came before a name"),
        (engine_with(NamesWithoutRoot), "does not begin at the root"),
        (engine_with(OneFormForAll), "entries of the other form"),
        (engine_with(KeepsFilesOpen), "descriptors open"),
        (engine_with(NeverFinishes), "without having finished"),
        (engine_with(TakesEarlyEnds), "ends in the middle"),
        (engine_with(KeepsBatches), "before the last one was read"),
        (engine_with(OnlyOneClose), "closed twice"),
        (AnyValue(), "expected BadEnvironment"),
        (AsksNoPermit(), "prepare_backup of paths that are not permitted"),
        (WritesAnywhere(), "prepare_recover of paths that are not permitted"),
    ],
)
def test_a_fault_is_found_and_told(trial: Any, engine: ListEngine, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_data_engine(trial(engine))


def test_a_file_closed_before_its_use_is_found(trial: Any) -> None:
    with pytest.raises((AssertionError, OSError)):
        check_data_engine(trial(engine_with(ClosesTooEarly)))
