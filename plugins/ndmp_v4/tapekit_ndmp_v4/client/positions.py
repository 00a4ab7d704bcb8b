"""Where objects are in an image, from the file history of its backup.

Names and nodes come in posts of their own and meet here, for a client that
restores soon after it has backed up. The one rule: everything is kept in
memory, so that a catalogue of many backups is something else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit_ndmp_v4.messages import (
    FhAddDirPost,
    FhAddFilePost,
    FhAddNodePost,
    Name,
    UnixFileName,
)
from tapekit_ndmp_v4.numbers import UNLIMITED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tapekit_ndmp_v4.messages import FileName
    from tapekit_ndmp_v4.wire import Message

__all__ = ["Positions"]


@final
class Positions:
    """The objects of one backup by their paths.

    As the ear of a backup, and then for the list of a restore::

        positions = Positions()
        await back_up(client, plan, watch=Watch(on_post=positions.add))
        wanted = positions.name("dir/file", "/vs1/vol1/back/dir/file")
    """

    def __init__(self) -> None:
        self._nodes: Final[dict[tuple[int, str], int]] = {}
        self._offsets: Final[dict[int, int]] = {}
        self._files: Final[dict[str, tuple[int, int]]] = {}
        self._root: int | None = None

    def add(self, post: Message) -> None:
        """Take in a post; all but file history are passed over."""
        match post:
            case FhAddDirPost(dirs=dirs):
                for entry in dirs:
                    for name in _unix_names(entry.names):
                        self._add_name(name, entry.node, entry.parent)
            case FhAddNodePost(nodes=nodes):
                self._offsets.update((node.node, node.fh_info) for node in nodes)
            case FhAddFilePost(files=files):
                for file in files:
                    for path in _unix_names(file.names):
                        self._files[path.strip("/")] = file.node, file.fh_info

    def find(self, path: str) -> tuple[int, int] | None:
        """Node and position in bytes of a path below the backup's root, or
        ``None`` if the history has no such name.
        """
        if (file := self._files.get(path.strip("/"))) is not None:
            return file
        node = self._root
        for part in path.strip("/").split("/"):
            node = self._nodes.get((node, part)) if node is not None and part else node
        return None if node is None else (node, self._offsets.get(node, UNLIMITED))

    def name(self, path: str, destination: str) -> Name:
        """An entry of a restore list, for a restore with DIRECT=Y.

        :raises KeyError: the history has no such name.
        """
        found = self.find(path)
        if found is None:
            raise KeyError(path)
        node, position = found
        return Name(original_path=path, destination_path=destination, node=node, fh_info=position)

    def _add_name(self, name: str, node: int, parent: int) -> None:
        if name not in {".", ".."}:
            self._nodes[parent, name] = node
        elif node == parent and self._root is None:
            # Only the root is its own parent; its entry . comes first.
            self._root = node


def _unix_names(names: Iterable[FileName]) -> Iterator[str]:
    """The names as UNIX has them; others name the same objects."""
    return (name.unix_name for name in names if isinstance(name, UnixFileName))
