"""Finds tape configuration files: those that come with tapekit, and those of
an administrator.

Every file of a folder is read before anything is said, so that an
administrator hears of all mistakes at once. The one rule: what is in a
folder either qualifies its drives as it stands, or stops the start.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Final

from tapekit_qualification.errors import CATALOGUE
from tapekit_qualification.parsing import read_configuration
from tapekit_qualification.table import Standing, TableEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from importlib.resources.abc import Traversable
    from pathlib import Path

    from tapekit.errors import TapekitError

__all__ = ["SUFFIX", "administrators_entries", "shipped_entries"]

SUFFIX: Final = ".tcf"
"""How the names of tape configuration files end, in any case of letters."""


def shipped_entries() -> list[TableEntry]:
    """The drives that come qualified.

    :raises ExceptionGroup: the installation is damaged.
    """
    folder = resources.files("tapekit_qualification").joinpath("drives")
    return _entries(folder, Standing.QUALIFIED)


def administrators_entries(folder: Path) -> list[TableEntry]:
    """The drives that the files of a folder qualify; none without a folder.

    :raises ExceptionGroup: of each mistake in a file, each file that cannot
        be read, and each that qualifies a drive of another file.
    :raises TapekitError: the folder cannot be read.
    """
    return _entries(folder, Standing.DYNAMICALLY_QUALIFIED) if folder.exists() else []


def _entries(folder: Traversable, standing: Standing) -> list[TableEntry]:
    entries: list[TableEntry] = []
    mistakes: list[TapekitError] = []
    for file, text in _texts(folder, mistakes):
        configuration, found = read_configuration(text, file)
        mistakes += found
        if configuration is not None:
            entries.append(TableEntry(configuration, standing, file))
    mistakes += _repetitions(entries)
    if mistakes:
        raise ExceptionGroup(f"mistakes in {folder}", mistakes)
    return entries


def _texts(folder: Traversable, mistakes: list[TapekitError]) -> Iterator[tuple[str, str]]:
    """The names and texts of the files; those that have none are mistakes."""
    for file in _files(folder):
        try:
            yield str(file), file.read_bytes().decode("ascii")
        except OSError as error:
            mistakes.append(CATALOGUE.error("unreadable", file=file, reason=error.strerror))
        except UnicodeDecodeError as error:
            mistakes.append(_not_text(file, error))


def _files(folder: Traversable) -> list[Traversable]:
    """The tape configuration files of a folder, by name.

    :raises TapekitError: the folder cannot be read.
    """
    try:
        found = [file for file in folder.iterdir() if file.name.lower().endswith(SUFFIX)]
    except OSError as error:
        raise CATALOGUE.error("unreadable", file=folder, reason=error.strerror) from error
    return sorted(found, key=lambda file: file.name)


def _repetitions(entries: Iterable[TableEntry]) -> Iterator[TapekitError]:
    first: dict[tuple[str, str], TableEntry] = {}
    for entry in entries:
        other = first.setdefault(entry.configuration.key, entry)
        if other is not entry:
            vendor, product = entry.configuration.key
            yield CATALOGUE.error(
                "same-drive-twice",
                file=entry.file,
                other=other.file,
                vendor=vendor,
                product=product.rstrip(),
            )


def _not_text(file: Traversable, error: UnicodeDecodeError) -> TapekitError:
    return CATALOGUE.error(
        "not-text",
        file=file,
        line=error.object.count(b"\n", 0, error.start) + 1,
        column=error.start - error.object.rfind(b"\n", 0, error.start),
        value=error.object[error.start],
    )
