"""What is counted beforehand, against what a restore asks its catalogue for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from tapekit.testing.memory_services import MemoryServices
from tapekit_dump.recover_catalogue import Catalogue
from tapekit_dump.recover_findings import Findings
from tapekit_dump.recover_selection import branches, plan_views
from tapekit_dump.recover_wanted import Wanted
from tapekit_dump.spool import SpoolRoom

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit_dump.recover_catalogue import Place

_NAMES = st.lists(st.sampled_from([b"a", b"b", b"c", b"d"]), max_size=4, unique=True)
_KINDS = st.sampled_from(["file", "directory", "link"])
_HIGHEST = 30

Directories = dict[int, list[tuple[bytes, int]]]


@st.composite
def trees(draw: st.DrawFn) -> Directories:
    """Directories with names and what they stand for, by number."""
    directories: Directories = {2: []}
    files: list[int] = []
    number = 2
    for inode in range(2, _HIGHEST):
        for name in draw(_NAMES) if inode in directories else ():
            kind = draw(_KINDS)
            if kind == "link" and files:
                directories[inode].append((name, draw(st.sampled_from(files))))
                continue
            number += 1
            directories[inode].append((name, number))
            if kind == "directory" and number < _HIGHEST:
                directories[number] = []
            else:
                files.append(number)
    return directories


def paths_of(directories: Directories) -> list[str]:
    """All paths, and one that is none."""
    found, pending = ["/none"], [("", 2)]
    while pending:
        above, inode = pending.pop()
        for name, number in directories[inode]:
            path = f"{above}/{name.decode()}"
            found.append(path)
            if number in directories:
                pending.append((path, number))
    return found


def places_made(catalogue: Catalogue) -> list[Place]:
    """The first place in each tree of each object that is no directory."""
    found: list[Place] = []
    names = catalogue.names(lambda _: None)
    while (inode := names.next_inode) is not None:
        first: dict[int, Place] = {}
        for place in names.take(inode) or ():
            first.setdefault(place.view.family, place)
        found.extend(first.values())
    return found


def key(place: Place) -> tuple[int, tuple[int, bytes]]:
    return place.view.number, place.path


@given(data=st.data(), directories=trees())
def test_what_is_counted_is_what_is_made(
    select: Callable[..., Any], data: st.DataObject, directories: Directories
) -> None:
    chosen = data.draw(st.lists(st.sampled_from(paths_of(directories)), min_size=1, max_size=5))
    targets = data.draw(st.lists(st.booleans(), min_size=len(chosen), max_size=len(chosen)))
    views = plan_views(
        [
            select(path, "/vs1/vol1", path if same else f"else/{index}")
            for index, (path, same) in enumerate(zip(chosen, targets, strict=True))
        ],
        None,
        None,
    )
    for view in views:
        view.is_recursive = data.draw(st.booleans())
    catalogue = Catalogue(branches(views), Findings(MemoryServices(), 10), SpoolRoom(None, 1024), 7)
    for inode in data.draw(st.permutations(sorted(directories))):
        catalogue.add_directory(inode, b"")
        for name, number in directories[inode]:
            catalogue.add_name(inode, name, number)
    counted = sorted(map(key, Wanted(catalogue, branches(views)).objects()))
    assert not any(view.is_found for view in views)
    below = [
        (view.number, (directory.parent, directory.name))
        for directory in catalogue.arrange()
        for view in directory.views or ()
        if view.top != directory.inode
    ]
    assert counted == sorted([*below, *map(key, places_made(catalogue))])
    catalogue.close()
