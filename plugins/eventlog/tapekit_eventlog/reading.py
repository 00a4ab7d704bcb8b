"""Reading the backup log, also while it grows and over a rotation."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from tapekit_eventlog.errors import CATALOGUE
from tapekit_eventlog.log_file import KEPT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

__all__ = ["all_lines", "follow", "lines_of", "log_files"]

_PIECE: Final = 1 << 20


def all_lines(path: Path) -> Iterator[str]:
    """The lines of the present file and its predecessors, oldest first.

    :raises TapekitError: one cannot be read.
    """
    for file in reversed(log_files(path)):
        if file.exists():
            yield from lines_of(file)


def log_files(path: Path) -> Sequence[Path]:
    """Where the present file and its predecessors are, if they are there."""
    return [path, *(path.with_name(f"{path.name}.{number}") for number in range(KEPT))]


def lines_of(file: Path) -> Iterator[str]:
    """The lines of one file.

    :raises TapekitError: it cannot be read.
    """
    try:
        with file.open(encoding="utf-8", errors="surrogateescape") as opened:
            for line in opened:
                yield line.rstrip("\n")
    except OSError as error:
        raise _unreadable(file, error) from error


def follow(path: Path, wait: Callable[[], bool]) -> Iterator[str]:
    """New lines of the log, from now on and over rotations.

    :param wait: returns when it is time to look again; false ends it.
    :raises TapekitError: the log cannot be read.
    """
    opened, rest = _open(path, at_end=True), b""
    try:
        while wait():
            if opened is None:
                opened = _open(path, at_end=False)
                continue
            # Asked before reading: a file that has been replaced gets no more lines.
            is_present = _is_present(opened, path)
            while piece := os.read(opened, _PIECE):
                *lines, rest = (rest + piece).split(b"\n")
                yield from (line.decode(errors="surrogateescape") for line in lines)
            if not is_present:
                os.close(opened)
                opened, rest = _open(path, at_end=False), b""
    finally:
        if opened is not None:
            os.close(opened)


def _open(path: Path, *, at_end: bool) -> int | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, error) from error
    if at_end:
        os.lseek(fd, 0, os.SEEK_END)
    return fd


def _is_present(fd: int, path: Path) -> bool:
    """Whether a file is still the one that is written."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return True


def _unreadable(path: Path, error: OSError) -> Exception:
    return CATALOGUE.error("log-unreadable", path=path, reason=error.strerror or str(error))
