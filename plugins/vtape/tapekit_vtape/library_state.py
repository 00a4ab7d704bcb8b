"""Where each cartridge of a library is: one small file, changed as a whole.

A running server and the command line share it under a lock of its own. A
cartridge owns a slot also while it is in a drive, so that it always has
somewhere to go back to; cartridges that no place is told of lie on the
shelf. The one rule: the file is replaced, never written over, so that a
crash leaves the old state or the new one. Errors are conditions of a drive,
since drives meet them too.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import msgspec

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit_vtape.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "STATE_VERSION",
    "LibraryState",
    "Place",
    "changing",
    "has_state",
    "library_unwritable",
    "read_state",
    "write_state",
]

STATE_VERSION: Final = 1


_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where a cartridge is, and how its tape stands in a drive."""

    slot: _Count
    """The slot that it owns, also while it is in a drive."""
    drive: _Count | None = None
    is_ejected: bool = False
    position: _Count = 0
    """Objects before the head, kept while nobody has the drive open."""
    was_imported: bool = False
    """An operator put it into its mail slot, and the robot has not moved it since."""


class LibraryState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The state of a library."""

    version: int
    serial: str
    """Makes the drives' serial numbers differ from those of other libraries."""
    cartridges: Mapping[str, Place]
    """Places by barcode."""

    def inserted(self, drive: int) -> tuple[str, Place] | None:
        """The cartridge in a drive, ejected or not."""
        for barcode, place in self.cartridges.items():
            if place.drive == drive:
                return barcode, place
        return None

    def owner(self, slot: int) -> str | None:
        """The cartridge that owns a slot."""
        for barcode, place in self.cartridges.items():
            if place.slot == slot:
                return barcode
        return None

    def with_place(self, barcode: str, place: Place | None) -> LibraryState:
        """This state with a cartridge moved, or taken out with ``None``."""
        cartridges = dict(self.cartridges)
        cartridges.pop(barcode, None)
        if place is not None:
            cartridges[barcode] = place
        return msgspec.structs.replace(self, cartridges=dict(sorted(cartridges.items())))


def _state_file(directory: Path) -> Path:
    return directory / "library.json"


def _no_library(directory: Path) -> TapeError:
    return CATALOGUE.raised_as(
        TapeError, "no-library", condition=Condition.NO_DEVICE, directory=str(directory)
    )


def _unreadable(path: Path, reason: str) -> TapeError:
    return CATALOGUE.raised_as(
        TapeError,
        "library-unreadable",
        condition=Condition.HARDWARE_ERROR,
        path=str(path),
        reason=reason,
    )


def library_unwritable(path: Path, error: OSError) -> TapeError:
    """The host refused to write a file of a library."""
    return CATALOGUE.raised_as(
        TapeError,
        "library-unwritable",
        condition=Condition.HARDWARE_ERROR,
        path=str(path),
        reason=error.strerror or str(error),
    )


def has_state(directory: Path) -> bool:
    """Whether a folder holds a library."""
    return _state_file(directory).exists()


def read_state(directory: Path) -> LibraryState:
    """Read the state of the library in a folder.

    :raises TapeError: there is none, or it cannot be understood.
    """
    path = _state_file(directory)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise _no_library(directory) from None
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    try:
        state = msgspec.json.decode(data, type=LibraryState)
    except msgspec.DecodeError as error:
        raise _unreadable(path, str(error)) from error
    if state.version != STATE_VERSION:
        raise _unreadable(path, f"it has version {state.version}, and {STATE_VERSION} can be read")
    return state


def write_state(directory: Path, state: LibraryState, *, durable: bool) -> None:
    """Replace the state of the library in a folder.

    :raises TapeError: the file cannot be written; the old one stays.
    """
    path = _state_file(directory)
    made = path.with_name("library.json.new")
    try:
        fd = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(state)) + b"\n")
            file.flush()
            if durable:
                os.fsync(file.fileno())
        made.replace(path)
        if durable:
            _sync_folder(directory)
    except OSError as error:
        raise library_unwritable(path, error) from error


def _sync_folder(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def changing(directory: Path) -> Iterator[LibraryState]:
    """The state, which nobody else changes until the end of the block.

    Waits for other processes, which hold it for some milliseconds.

    :raises TapeError: as :func:`read_state`.
    """
    if not directory.is_dir():
        raise _no_library(directory)
    path = directory / "library.lock"
    with contextlib.ExitStack() as unlock:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            unlock.callback(os.close, fd)
            fcntl.flock(fd, fcntl.LOCK_EX)
        except OSError as error:
            raise library_unwritable(path, error) from error
        yield read_state(directory)
