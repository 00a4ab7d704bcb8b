"""What the base of an incremental dump numbered.

The pages of the state store are read once: into an index that finds numbers
by inode number, and into a spool that has them in order for the list of the
new dump. The one rule: numbers that are not all there are none.
"""

from __future__ import annotations

import array
from typing import TYPE_CHECKING, Final, final

from tapekit_dump.maps import ROOT
from tapekit_dump.number_index import NumberIndex
from tapekit_dump.number_pages import NUMBERS_PER_PAGE, unpack_page

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tapekit_dump.spool import SpoolRoom

__all__ = ["KnownNumbers"]

_WIDTH: Final = 8


@final
class KnownNumbers:
    """Numbers of an earlier dump; for one thread.

    :param pages: as the state store gives them.
    :param tells_objects: whether objects still have the inode numbers that the
        pages tell; if not, each is new, and all numbers are of what is gone.
    :raises BadPage: one of them is missing or damaged.
    :raises TapekitError: a temporary file failed, or the store.
    """

    def __init__(
        self, pages: Iterable[bytes | None], room: SpoolRoom, *, tells_objects: bool = True
    ) -> None:
        self._inodes: Final = room.spool()
        self._index: Final = NumberIndex(room)
        try:
            for page in map(unpack_page, pages):
                if not tells_objects:
                    self._inodes.append(bytes(_WIDTH * len(page)))
                    continue
                self._index.add(self.highest + 1, page)
                self._inodes.append(page.tobytes())
        except BaseException:
            self.close()
            raise

    @property
    def highest(self) -> int:
        """The highest number."""
        return ROOT - 1 + self._inodes.length // _WIDTH

    def find(self, inode: int) -> int:
        """The number of an inode number of the volume, or 0."""
        return self._index.find(inode)

    def pages(self) -> Iterator[array.array[int]]:
        """The inode numbers, from that of number 2 on.

        :raises TapekitError: the spool cannot be read.
        """
        step = _WIDTH * NUMBERS_PER_PAGE
        for offset in range(0, self._inodes.length, step):
            page = array.array("Q")
            page.frombytes(self._inodes.read(offset, step))
            yield page

    def close(self) -> None:
        """Free the temporary files; later calls do nothing."""
        self._index.close()
        self._inodes.close()
