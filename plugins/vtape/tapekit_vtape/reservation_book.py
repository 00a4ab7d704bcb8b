"""The reservations of a library's devices: one small file for all who use it.

Every process that uses the library reads the file when it has changed, which
costs one look at its attributes a command, and changes it under a lock of
its own. The one rule: the file is replaced as a whole, durably, and a new
one is always newer than the one before, so that nobody acts on an old state.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple, final

import msgspec

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit_vtape.errors import CATALOGUE
from tapekit_vtape.library_state import library_unwritable
from tapekit_vtape.reservation_rules import FREE, DeviceState

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["BOOK_VERSION", "ReservationBook"]

BOOK_VERSION: Final = 1


class _Book(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file."""

    version: int
    devices: Mapping[str, DeviceState]


class _Seen(NamedTuple):
    """A file as it was when it was read."""

    mark: tuple[int, int, int] | None
    book: _Book


_EMPTY: Final = _Seen(None, _Book(BOOK_VERSION, {}))


@final
class ReservationBook:
    """Who has reserved which device; calls may come from several threads."""

    def __init__(self, directory: Path, *, durable: bool) -> None:
        self._path: Final = directory / "reservations.json"
        self._durable: Final = durable
        self._seen = _EMPTY

    def state(self, device: str) -> DeviceState:
        """The reservations of a device at this moment.

        :raises TapeError: ``HARDWARE_ERROR``, the file cannot be read.
        """
        return self._read().devices.get(device, FREE)

    def change(
        self, device: str, change: Callable[[DeviceState], DeviceState]
    ) -> tuple[DeviceState, DeviceState]:
        """Change the reservations of a device; what they were and are.

        Nothing has changed if ``change`` raises.

        :raises TapeError: ``HARDWARE_ERROR``, the host refuses.
        """
        with self._locked():
            book = self._read()
            before = book.devices.get(device, FREE)
            after = change(before)
            if after != before:
                devices = {**book.devices, device: after}
                self._write(_Book(BOOK_VERSION, dict(sorted(devices.items()))))
        return before, after

    def _read(self) -> _Book:
        seen, mark = self._seen, self._mark()
        if mark == seen.mark:
            return seen.book
        if mark is None:
            self._seen = _EMPTY
            return _EMPTY.book
        try:
            book = msgspec.json.decode(self._path.read_bytes(), type=_Book)
        except OSError as error:
            raise self._unreadable(error.strerror or str(error)) from error
        except msgspec.DecodeError as error:
            raise self._unreadable(str(error)) from error
        if book.version != BOOK_VERSION:
            raise self._unreadable(f"it has version {book.version}, and {BOOK_VERSION} can be read")
        for device, state in book.devices.items():
            if state.contradiction is not None:
                raise self._unreadable(f"{device}: {state.contradiction}")
        # Should the file have changed since the mark was taken, it is read again.
        self._seen = _Seen(mark, book)
        return book

    def _mark(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unreadable(error.strerror or str(error)) from error
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _unreadable(self, reason: str) -> TapeError:
        return CATALOGUE.raised_as(
            TapeError,
            "reservations-unreadable",
            condition=Condition.HARDWARE_ERROR,
            path=str(self._path),
            reason=reason,
        )

    def _write(self, book: _Book) -> None:
        path = self._path
        made = path.with_name("reservations.json.new")
        before = self._mark()
        try:
            fd = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(book)) + b"\n")
                file.flush()
                _make_newer(file.fileno(), before[0] if before else 0)
                if self._durable:
                    os.fsync(file.fileno())
            made.replace(path)
            if self._durable:
                self._sync_folder()
        except OSError as error:
            raise library_unwritable(path, error) from error

    def _sync_folder(self) -> None:
        fd = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        path = self._path.with_name("reservations.lock")
        with ExitStack() as unlock:
            try:
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                unlock.callback(os.close, fd)
                fcntl.flock(fd, fcntl.LOCK_EX)
            except OSError as error:
                raise library_unwritable(path, error) from error
            yield


def _make_newer(fd: int, than: int) -> None:
    """Give a file a time behind that of another, which clocks alone do not."""
    made = os.fstat(fd).st_mtime_ns
    if made <= than:
        os.utime(fd, ns=(than + 1, than + 1))
