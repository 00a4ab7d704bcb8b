"""Extracting from an image into a directory, as restores do.

The course, the places and the attributes are those of a restore; only what
says where things go is read from a command line instead of an environment.
The one rule: nothing is made, replaced or changed but below the directory,
reached name by name from its descriptor.
"""

from __future__ import annotations

import contextlib
import enum
import os
from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit.hookspecs.data_engine import UNKNOWN_POSITION, FileResult, Selection
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.recover_attributes import AttributeSetter
from tapekit_dump.recover_course import Course
from tapekit_dump.recover_crew import Hands
from tapekit_dump.recover_destination import flush_filesystem
from tapekit_dump.recover_places import Places
from tapekit_dump.recover_room import check_inodes
from tapekit_dump.recover_selection import plan_views, split_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tapekit_dump.image_job import ImageJob
    from tapekit_dump.recover_catalogue import Catalogue, Place
    from tapekit_dump.recover_findings import Findings
    from tapekit_dump.recover_selection import View

__all__ = ["Existing", "Order", "extract"]

_OPEN_DIRECTORIES: Final = 256
_THREADS: Final = 1
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_SOMEWHERE: Final = "/the/directory/given"
"""Stands for the directory where restore lists are planned, which want an
absolute destination."""
_DEPTH: Final = len(split_path(_SOMEWHERE))


class Existing(enum.Enum):
    """What becomes of what is there already. Directories are joined, and keep
    their attributes but with ``REPLACE``.
    """

    REFUSE = "refuse"
    KEEP = "keep"
    REPLACE = "replace"


class Order(NamedTuple):
    """What is to be extracted."""

    directory: Path
    paths: Sequence[str]
    """Files and directories of the image; everything if there are none."""
    name: str | None
    """Another name, or path below the directory, for the only path."""
    existing: Existing


def extract(job: ImageJob, order: Order) -> int:
    """Extract what is ordered; losses are in the job's findings.

    :returns: how many names were kept as they were.
    :raises TapekitError: the directory cannot be used, nothing more can be
        written, or the image is no dump.
    """
    views = _views(order)
    with contextlib.ExitStack() as stack:
        descriptor = _open_directory(order.directory)
        stack.callback(os.close, descriptor)
        # What is made into an empty directory is made as a whole.
        is_joined = order.existing is not Existing.REPLACE and _has_entries(descriptor)
        tops = {view.number: (descriptor, view.target[_DEPTH:]) for view in views}
        catalogue = stack.enter_context(job.catalogue(views))
        places = Places(catalogue.directories, tops, _OPEN_DIRECTORIES)
        stack.callback(places.close)
        guard = _Guard(order.existing, places, catalogue, job.findings)

        def check_room(names: int) -> None:
            if not order.paths:
                check_inodes(descriptor, str(order.directory), names)

        course = Course(
            job.reader,
            catalogue,
            places,
            job.findings,
            Hands(_THREADS),
            lambda _phase: None,
            setter=AttributeSetter(job.findings.warn),
            check_room=check_room,
            verbose=False,
            may_make=guard.may_make,
            keep_existing=is_joined,
        )
        try:
            course.run()
        except OSError as error:
            raise CATALOGUE.error(
                "stream-unreadable", offset=job.reader.position, reason=error.strerror
            ) from error
        flush_filesystem(descriptor, str(order.directory))
    _tell_unknown_paths(views, job.findings)
    return guard.kept


@final
class _Guard:
    """Looks after what is there already."""

    def __init__(
        self, existing: Existing, places: Places, catalogue: Catalogue, findings: Findings
    ) -> None:
        self._existing: Final = existing
        self._places: Final = places
        self._catalogue: Final = catalogue
        self._findings: Final = findings
        self.kept = 0

    def may_make(self, place: Place) -> bool:
        """Whether an object may take a place."""
        if self._existing is Existing.REPLACE or not self._is_taken(place):
            return True
        if self._existing is Existing.KEEP:
            self.kept += 1
        else:
            path = self._catalogue.path_of(*place.path)
            self._findings.lose(CATALOGUE.error("name-is-there", path=path))
        return False

    def _is_taken(self, place: Place) -> bool:
        try:
            directory = self._places.descriptor(place.view, place.directory)
            os.stat(place.name, dir_fd=directory, follow_symlinks=False)
        except OSError:
            # Not there; whatever else it is, making the object tells.
            return False
        return True


def _views(order: Order) -> Sequence[View]:
    destination = "" if order.name is None else f"{_SOMEWHERE}/{order.name}"
    selections = [
        Selection(path, destination, "", "", UNKNOWN_POSITION, UNKNOWN_POSITION)
        for path in order.paths
    ]
    return plan_views(selections, _SOMEWHERE, None)


def _open_directory(directory: Path) -> int:
    """Open the directory, which is made if it is not there."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return os.open(directory, _DIRECTORY)
    except OSError as error:
        raise CATALOGUE.error(
            "destination-unusable", path=directory, reason=error.strerror
        ) from error


def _has_entries(descriptor: int) -> bool:
    with os.scandir(descriptor) as entries:
        return any(entries)


def _tell_unknown_paths(views: Sequence[View], findings: Findings) -> None:
    for view in views:
        if view.label is not None and view.result is FileResult.NOT_FOUND:
            findings.lose(CATALOGUE.error("path-not-in-image", path=view.label))
