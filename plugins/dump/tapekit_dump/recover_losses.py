"""What becomes of an object that cannot be restored, in every respect.

Its path is found for the message, its entry of the restore list gets a
result, the job counts it; an error after which nothing can be written ends
the job. The one rule: a loss goes through here exactly once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.data_engine import FileResult
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.recover_findings import fatal_error, is_fatal, result_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tapekit_dump.reading import Damage
    from tapekit_dump.recover_catalogue import Catalogue, Place
    from tapekit_dump.recover_findings import Findings

__all__ = ["Losses"]


@final
class Losses:
    """Tells losses by their places."""

    def __init__(self, catalogue: Catalogue, findings: Findings) -> None:
        self._catalogue: Final = catalogue
        self._findings: Final = findings

    def path_of(self, place: Place) -> str:
        """The place's path in the backup, for messages."""
        return self._catalogue.path_of(*place.path)

    def damaged(self, damage: Damage, near: Sequence[Place]) -> None:
        """A part of the stream cannot be read.

        :param near: the places of the object before it; none among directories.
        """
        self._findings.damage(
            CATALOGUE.error(
                "stream-damaged",
                offset=damage.offset,
                length=damage.length,
                reason=damage.reason,
                where=self.path_of(near[0]) if near else "the directories",
            )
        )

    def failed(self, place: Place, error: OSError, others: Iterable[Place] = ()) -> None:
        """The destination refused an object.

        :param others: more names of it, lost with the first.
        :raises TapekitError: nothing more can be written.
        """
        path = self.path_of(place)
        if is_fatal(error):
            raise fatal_error(error, path) from error
        place.view.fail(result_of(error))
        self._findings.lose(
            CATALOGUE.error("object-not-restored", path=path, reason=error.strerror)
        )
        self._names_lost(place, others, result_of(error))

    def truncated(self, place: Place, inode: int, error: OSError, others: Iterable[Place]) -> None:
        """A file could not be given its size, or was deleted meanwhile.

        :raises TapekitError: nothing more can be written.
        """
        if is_fatal(error):
            raise fatal_error(error, self.path_of(place)) from error
        place.view.fail(result_of(error))
        self._findings.lose(
            CATALOGUE.error(
                "truncation-failed-for-inode", inode_number=inode, error_number=error.errno
            )
        )
        self._names_lost(place, others, result_of(error))

    def incomplete(self, place: Place, offset: int, others: Iterable[Place]) -> None:
        """The stream has not all of an object."""
        place.view.fail(FileResult.IO_ERROR)
        self._findings.lose(
            CATALOGUE.error("object-incomplete", path=self.path_of(place), offset=offset)
        )
        self._names_lost(place, others, FileResult.IO_ERROR)

    def doubtful(self, place: Place) -> None:
        """An object is there, but the stream was damaged right behind it."""
        place.view.fail(FileResult.IO_ERROR)
        self._findings.lose(CATALOGUE.error("object-doubtful", path=self.path_of(place)))

    def missing(self, places: Sequence[Place]) -> None:
        """The stream has nothing of an object."""
        for place in places:
            place.view.fail(FileResult.IO_ERROR)
            self._findings.lose(CATALOGUE.error("object-missing", path=self.path_of(place)))

    def refused(self, places: Iterable[Place], reason: str) -> None:
        """An object is not made because of what the stream says of it."""
        for place in places:
            place.view.fail(FileResult.UNDEFINED_ERROR)
            self._findings.lose(
                CATALOGUE.error("object-refused", path=self.path_of(place), reason=reason)
            )

    def _names_lost(self, first: Place, others: Iterable[Place], result: FileResult) -> None:
        for place in others:
            place.view.fail(result)
            self._findings.lose(
                CATALOGUE.error("link-lost", path=self.path_of(place), first=self.path_of(first))
            )
