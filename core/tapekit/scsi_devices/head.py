"""Where the head of a drive stands, as tape file and record.

A drive that knows its place is asked whenever somebody wants to know; all
that is kept is where tape files begin. A drive that says that it does not
know, as some emulations and old drives do, is counted along with. The one
rule: a number that nobody can vouch for is ``None``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, final

from tapekit.hookspecs.tape_driver import TapeError, TapePosition

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.scsi.position import Position

__all__ = ["AskedHead", "CountedHead", "Head"]

_BEGINNING: Final = TapePosition(0, 0)
_UNKNOWN: Final = TapePosition(None, None)


class Head(Protocol):
    """The place of a head, told of everything that moves it."""

    @property
    def is_known(self) -> bool:
        """Whether the drive itself knows its place."""
        ...

    def position(self) -> TapePosition:
        """Where the head stands.

        :raises TapeError: the drive does not answer.
        """
        ...

    def begin_writing(self) -> int | None:
        """What lies behind the head is about to be lost.

        :returns: the objects before the head, if the drive counts them.
        """
        ...

    def passed_records(self, count: int) -> None:
        """So many records were passed or written, backwards if negative."""
        ...

    def passed_filemarks(self, count: int) -> None:
        """So many filemarks were passed or written, backwards if negative."""
        ...

    def at_beginning(self) -> None:
        """The head has come to the beginning of the tape."""
        ...

    def at_end_of_data(self, filemarks: int) -> None:
        """The head has come to the end of data, over so many filemarks."""
        ...

    def moved_unseen(self, may_ask: bool) -> None:
        """Somebody's own command may have moved the head or written.

        :param may_ask: whether the drive may be asked at once.
        """
        ...


@final
class AskedHead:
    """The head of a drive that tells objects and filemarks before it."""

    is_known: Final = True

    def __init__(self, ask: Callable[[], Position]) -> None:
        """:param ask: READ POSITION in its long form."""
        self._ask: Final = ask
        self._starts = {0: 0}
        """Objects before each tape file, as far as they have been seen."""

    def position(self) -> TapePosition:
        """See :meth:`Head.position`."""
        place = self._ask()
        start = None if place.file_id is None else self._starts.get(place.file_id)
        if start is None or place.object_id is None:
            return TapePosition(place.file_id, None)
        return TapePosition(place.file_id, place.object_id - start)

    def begin_writing(self) -> int | None:
        """See :meth:`Head.begin_writing`."""
        place = self._ask()
        file = place.file_id or 0
        self._starts = {n: start for n, start in self._starts.items() if n <= file}
        return place.object_id

    def passed_records(self, _count: int) -> None:
        """See :meth:`Head.passed_records`; the drive counts."""

    def passed_filemarks(self, count: int) -> None:
        """See :meth:`Head.passed_filemarks`; a tape file begins behind the last."""
        if count <= 0:
            return
        place = self._ask()
        if place.object_id is not None and place.file_id is not None:
            self._starts[place.file_id] = place.object_id

    def at_beginning(self) -> None:
        """See :meth:`Head.at_beginning`; the drive knows."""

    def at_end_of_data(self, _filemarks: int) -> None:
        """See :meth:`Head.at_end_of_data`; the drive knows."""

    def moved_unseen(self, may_ask: bool) -> None:  # noqa: ARG002 - it is asked anyhow
        """See :meth:`Head.moved_unseen`; what was written over may have been
        any tape file but the first, which begins where the tape does.
        """
        self._starts = {0: 0}


@final
class CountedHead:
    """The head of a drive that does not know.

    Tape files are counted from the beginning of the tape, records from the
    last filemark that was passed: until the head has been there, nobody knows.
    """

    is_known: Final = False

    def __init__(self, ask: Callable[[], Position], *, is_beginning: bool) -> None:
        """:param ask: READ POSITION in its short form, which tells the
            beginning of the tape at least.
        :param is_beginning: the tape is known to stand at its beginning.
        """
        self._ask: Final = ask
        self._place = _BEGINNING if is_beginning else _UNKNOWN

    def position(self) -> TapePosition:
        """See :meth:`Head.position`."""
        return self._place

    def begin_writing(self) -> int | None:
        """See :meth:`Head.begin_writing`; what lies behind is not counted."""
        return None

    def passed_records(self, count: int) -> None:
        """See :meth:`Head.passed_records`."""
        file, record = self._place
        if record is not None:
            # More records backwards than were counted: the tape file began earlier.
            record = record + count if record + count >= 0 else None
        self._place = TapePosition(file, record)

    def passed_filemarks(self, count: int) -> None:
        """See :meth:`Head.passed_filemarks`; backwards, the length of the
        tape file that is entered at its end is not known.
        """
        if count:
            self._place = TapePosition(self._file_after(count), 0 if count > 0 else None)

    def at_beginning(self) -> None:
        """See :meth:`Head.at_beginning`."""
        self._place = _BEGINNING

    def at_end_of_data(self, filemarks: int) -> None:
        """See :meth:`Head.at_end_of_data`; the last tape file is of any length."""
        self._place = TapePosition(self._file_after(filemarks), None)

    def _file_after(self, filemarks: int) -> int | None:
        return None if self._place.file is None else max(self._place.file + filemarks, 0)

    def moved_unseen(self, may_ask: bool) -> None:
        """See :meth:`Head.moved_unseen`; counting begins anew."""
        try:
            is_beginning = may_ask and self._ask().is_beginning
        except TapeError:
            # Whoever moved the tape has an answer already; this one tells
            # only that the place is not known.
            is_beginning = False
        self._place = _BEGINNING if is_beginning else _UNKNOWN
