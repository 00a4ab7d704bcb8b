"""What a restore list asks for, as views of the backup's tree.

A view is a part of the tree, one directory or file and all below it, with
the place that it goes to; objects may be in several views. Paths of DMAs
come with slashes in every position and are compared component by component.
The one rule: a path that climbs (``..``) names nothing and leads nowhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.data_engine import UNKNOWN_POSITION, FileResult
from tapekit_dump.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tapekit.hookspecs.data_engine import Selection

__all__ = ["Branch", "Path", "View", "branches", "join_path", "plan_views", "split_path"]

Path = tuple[bytes, ...]
"""The components of a path."""

_VOLUME_DEPTH: Final = 2
"""``/vserver/volume`` is as high as a destination can be opened."""

_SNAPSHOTS: Final = (b".snapshot",)
"""Where storage has the Snapshot copies of a volume."""


def split_path(text: str) -> Path:
    """The components of a path, without those that say nothing."""
    raw = text.encode("utf-8", "surrogateescape")
    return tuple(part for part in raw.split(b"/") if part not in (b"", b"."))


def join_path(path: Iterable[bytes]) -> str:
    """An absolute path of components."""
    return "/" + b"/".join(path).decode("utf-8", "surrogateescape")


@final
class View:
    """A part of the tree and where it goes.

    :param number: distinguishes the views of a job, from 0.
    :param source: the part's top below the backup's root; empty for all.
    :param target: what the top becomes, as ``/vserver/volume/path``.
    :param label: the path as the DMA gave it, or ``None`` if it named none.
    """

    def __init__(self, number: int, source: Path, target: Path, label: str | None) -> None:
        self.number: Final = number
        self.source: Final = source
        self.target: Final = target
        self.label: Final = label
        self.outer: Final[list[View]] = []
        """Views that contain this one and take it to the same place."""
        self.top: int | None = None
        """The inode number of its top directory once that is known."""
        self.node = 0
        """The top's inode number as the DMA gave it; 0 if it gave none."""
        self.position = 0
        """The offset of the top's header in the stream; 0 if it is unknown."""
        self.is_recursive = True
        """Whether what is in its top directory belongs to it."""
        self.only_if_new = False
        """Whether its top directory keeps its attributes if it is there already."""
        self.is_found = False
        self.failure: FileResult | None = None

    @property
    def parent(self) -> Path:
        """The directory of the destination that must be there to begin."""
        is_whole_volume = len(self.target) <= _VOLUME_DEPTH
        return self.target if is_whole_volume or not self.source else self.target[:-1]

    @property
    def is_renamed(self) -> bool:
        """Whether the top gets another name than it had."""
        return bool(self.source) and self.source[-1] != self.target[-1]

    @property
    def keeps_path(self) -> bool:
        """Whether the target ends with the path that the top had."""
        return self.target[len(self.target) - len(self.source) :] == self.source

    @property
    def volume(self) -> Path:
        """``(vserver, volume)`` of the destination."""
        return self.target[:_VOLUME_DEPTH]

    @property
    def family(self) -> int:
        """The same number for views that restore into one tree, within which
        hard links hold.
        """
        return self.outer[0].family if self.outer else self.number

    @property
    def result(self) -> FileResult:
        """What became of it."""
        if not self.is_found:
            return self.failure or FileResult.NOT_FOUND
        return self.failure or FileResult.SUCCESSFUL

    def fail(self, result: FileResult) -> None:
        """Note that something in it could not be restored; the first counts."""
        if self.failure is None:
            self.failure = result
        for view in self.outer:
            view.fail(result)


@final
class Branch:
    """A directory on the way to the tops of views."""

    def __init__(self) -> None:
        self.views: Final[list[View]] = []
        """Views whose top this is."""
        self.children: Final[dict[bytes, Branch]] = {}


def branches(views: Iterable[View]) -> Branch:
    """The tops of all views as a tree of names."""
    root = Branch()
    for view in views:
        branch = root
        for name in view.source:
            branch = branch.children.setdefault(name, Branch())
        branch.views.append(view)
    return root


def plan_views(
    selections: Sequence[Selection], prefix: str | None, filesystem: str | None
) -> tuple[View, ...]:
    """The views of a restore list; one of everything if it is empty.

    :param prefix: where the restore goes if an entry does not say (PREFIX).
    :param filesystem: where the backup came from, the last resort.
    :raises TapekitError: nothing says where something goes, or a
        destination climbs.
    """
    default = split_path(prefix or filesystem or "")
    if not selections:
        return (View(0, (), _checked(default, join_path(default)), None),)
    views = tuple(_view(number, selection, default) for number, selection in enumerate(selections))
    _join_nested(views)
    return views


def _view(number: int, selection: Selection, default: Path) -> View:
    source = split_path(selection.original_path)
    name = split_path(selection.name)
    if selection.destination_path:
        target = split_path(selection.destination_path) + name
    elif name:
        target = default + source[:-1] + name if default else ()
    else:
        target = default + source if default else ()
    shown = selection.destination_path or join_path(target)
    view = View(number, source, _checked(target, shown), selection.original_path)
    view.node, view.position = _known(selection.node), _known(selection.position)
    return view


def _known(number: int) -> int:
    """A number of the file history; clients have two words for none."""
    return 0 if number == UNKNOWN_POSITION else number


def _checked(target: Path, shown: str) -> Path:
    if not target:
        raise CATALOGUE.error("no-destination")
    if b".." in target:
        reason = "it contains .."
    elif any(b"\0" in part for part in target):
        reason = "it contains a NUL"
    elif target[_VOLUME_DEPTH : _VOLUME_DEPTH + 1] == _SNAPSHOTS:
        reason = "Snapshot copies cannot be written"
    else:
        return target
    raise CATALOGUE.error("bad-destination", path=shown, reason=reason)


def _join_nested(views: Sequence[View]) -> None:
    """Tell views of those that contain them and go to the same place, so
    that nothing is restored there twice.
    """
    goals: dict[tuple[Path, Path], View] = {}
    for view in sorted(views, key=lambda view: len(view.source)):
        for depth in range(len(view.source) + 1):
            rest = view.source[depth:]
            if rest and view.target[-len(rest) :] != rest:
                continue
            goal = view.source[:depth], view.target[: len(view.target) - len(rest)]
            outer = goals.get(goal)
            if outer is not None:
                view.outer.append(outer)
        goals[view.source, view.target] = view
