"""A backup and a restore, each one blocking call in a worker thread.

The stream has, for each file, the length of its name, its size, the name and
the bytes; a name without length ends it. The one rule: nothing that a stream
says leads out of the destination.
"""

import os
import stat
import struct
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Final

from tapekit.hookspecs.data_engine import (
    FileResult,
    JobProgress,
    JobServices,
    LogLevel,
    Pairs,
    RangeSource,
    Selection,
)
from tapekit.hookspecs.environment import Environment
from tapekit.hookspecs.movements import Stay
from tapekit.hookspecs.mover import UNLIMITED
from tapekit.hookspecs.storage import Storage
from tapekit.segments import ConnectionBroken, DataSink
from tapekit.streams import EndOfStream, StreamReader, StreamWriter
from tapekit_flatfiles.errors import CATALOGUE

_HEADER: Final = struct.Struct(">HQ")
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


@contextmanager
def _at_work(stay: Stay, services: JobServices) -> Iterator[None]:
    """Hold the volume, and say why somebody took it away."""
    with stay.at_work(services.break_off):
        try:
            yield
        except ConnectionBroken as broken:
            if stay.aborted is None:
                raise
            raise stay.aborted.error from broken


class FlatFilesBackup:
    def __init__(self, variables: Environment, storage: Storage, path: str, stay: Stay) -> None:
        self._variables = variables
        self._storage = storage
        self._path = path
        self._stay = stay
        self._writer: StreamWriter | None = None

    @property
    def progress(self) -> JobProgress:
        writer = self._writer
        return JobProgress(writer.position if writer else 0, None, None)

    def run(self, sink: DataSink, services: JobServices) -> None:
        with (
            _at_work(self._stay, services),
            closing(self._storage.open_backup(self._path, self._stay.job.holder)) as tree,
        ):
            writer = self._writer = StreamWriter(sink)
            try:
                for name in sorted(entry.name for entry in os.scandir(tree.descriptor)):
                    self._send(writer, tree.descriptor, name, services)
                writer.write(_HEADER.pack(0, 0))
                # The files are read as they are sent: they must be there until then.
                writer.drain()
                self._stay.completes()
                writer.finish()
            finally:
                writer.abandon()

    def _send(self, writer: StreamWriter, directory: int, name: str, services: JobServices) -> None:
        if name.startswith(".") and not self._variables.switch("HIDDEN"):
            return

        def complain(error: OSError) -> None:
            told = CATALOGUE.error("not-readable", name=name, reason=error.strerror)
            services.log(LogLevel.WARNING, told.advice)

        try:
            if not stat.S_ISREG(os.lstat(name, dir_fd=directory).st_mode):
                return
            fd = os.open(name, _READ, dir_fd=directory)
        except OSError as error:
            complain(error)
            return
        size, encoded = os.fstat(fd).st_size, os.fsencode(name)
        writer.write(_HEADER.pack(len(encoded), size) + encoded)
        writer.extent(fd, 0, size, lambda _offset, _length, error: complain(error))
        writer.close_when_used(fd)

    def environment(self) -> Pairs:
        return self._variables.pairs

    def close(self) -> None:
        self._stay.leave()


class FlatFilesRestore:
    def __init__(
        self, storage: Storage, path: str, selections: Sequence[Selection], stay: Stay
    ) -> None:
        self._storage = storage
        self._path = path
        self._selections = selections
        self._stay = stay
        self._reader: StreamReader | None = None
        self._failures: list[tuple[str, OSError]] = []

    @property
    def progress(self) -> JobProgress:
        reader = self._reader
        return JobProgress(reader.position if reader else 0, None, None)

    def run(self, stream: RangeSource, services: JobServices) -> None:
        with (
            _at_work(self._stay, services),
            closing(self._storage.open_restore(self._path, self._stay.job.holder)) as tree,
            closing(StreamReader(stream.request(0, UNLIMITED))) as reader,
        ):
            self._reader = reader
            try:
                while self._receive(reader, tree.descriptor):
                    pass
            except EndOfStream:
                raise CATALOGUE.error(
                    "damaged", position=reader.position, defect="it ends"
                ) from None
            self._conclude(services)

    def _receive(self, reader: StreamReader, directory: int) -> bool:
        """Restore one file; false at the end of the stream."""
        begin = reader.position
        length, size = _HEADER.unpack(reader.take(_HEADER.size))
        if length == 0:
            return False
        name = bytes(reader.take(length))
        if b"/" in name or b"\0" in name or name in {b".", b".."}:
            raise CATALOGUE.error("damaged", position=begin, defect=f"{name!r} is no name")
        end = reader.position + size
        try:
            self._write(reader, directory, name, size)
        except OSError as error:
            self._failures.append((os.fsdecode(name), error))
            reader.skip(end - reader.position)
        return True

    def _write(self, reader: StreamReader, directory: int, name: bytes, size: int) -> None:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)
        fd = os.open(name, _WRITE, 0o600, dir_fd=directory)
        try:
            reader.copy_to(fd, 0, size)
        finally:
            os.close(fd)

    def _conclude(self, services: JobServices) -> None:
        """Answer each entry of the restore list: all files, or an error."""
        result = FileResult.IO_ERROR if self._failures else FileResult.SUCCESSFUL
        for selection in self._selections:
            services.file_result(selection.original_path, result)
        if self._failures:
            name, error = self._failures[0]
            raise CATALOGUE.error(
                "not-written", count=len(self._failures), name=name, reason=error.strerror
            )

    def close(self) -> None:
        self._stay.leave()
