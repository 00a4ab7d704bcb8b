"""The tree that an image is restored to, against a model of names and objects."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapekit.hookspecs.storage import for_ever
from tapekit_smtape.apply_map import MapDamaged, MapFacts, Name, ObjectMap
from tapekit_smtape.apply_tree import NewObject, NoSuchObject, VolumeTree

ROOT = 2
FACTS = MapFacts(bytes(16), "base")
FILE, DIRECTORY = stat.S_IFREG | 0o644, stat.S_IFDIR | 0o755


class Site:
    """A volume's directory and the folder beside it."""

    def __init__(self, folder: Path) -> None:
        self.root, self.memory = folder / "root", folder / "memory"
        self.root.mkdir()
        self.memory.mkdir()
        self.objects = ObjectMap.create(self.memory)
        self.tree = VolumeTree(self.root, self.objects, "first", for_ever)
        self.tree.empty(ROOT)

    def make(self, number: int, mode: int, place: Name | None) -> None:
        fd = self.tree.make(NewObject(number, mode), place)
        if mode == FILE:
            os.write(fd, b"%d" % number)
        os.close(fd)

    def finish(self) -> None:
        self.tree.forget_files()
        self.tree.drop_nameless()
        self.objects.commit(FACTS)
        self.tree.end()
        self.objects.commit(FACTS)

    def die(self) -> None:
        """Leave all as a process does that is killed."""
        self.tree.close()
        self.objects.close()

    def come_back(self) -> None:
        self.objects, facts = ObjectMap.open(self.memory)
        assert facts == FACTS
        self.tree = VolumeTree(self.root, self.objects, "second", for_ever)
        self.tree.find_again()

    def names(self) -> dict[str, str]:
        """Paths, and the numbers that stand in files; directories end in a slash."""
        found = {}
        for path in self.root.rglob("*"):
            name = str(path.relative_to(self.root))
            found[f"{name}/" if path.is_dir() else name] = "" if path.is_dir() else path.read_text()
        return found


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    site.make(10, DIRECTORY, Name(ROOT, b"a"))
    site.make(11, FILE, Name(10, b"f"))
    site.tree.enter(Name(ROOT, b"g"), 11)
    site.make(12, DIRECTORY, Name(10, b"b"))
    site.make(13, FILE, Name(12, b"deep"))
    site.finish()
    return site


def test_names_and_links(site: Site) -> None:
    assert site.names() == {"a/": "", "a/f": "11", "g": "11", "a/b/": "", "a/b/deep": "13"}
    assert (site.root / "g").stat().st_nlink == 2


def test_what_loses_its_name_can_get_another(site: Site) -> None:
    site.tree.begin()
    site.tree.take_away(Name(10, b"b"))
    site.tree.take_away(Name(ROOT, b"a"))
    # The directory goes below what was in it.
    site.tree.enter(Name(ROOT, b"b"), 12)
    site.tree.enter(Name(12, b"a"), 10)
    site.finish()
    assert site.names() == {
        "b/": "", "b/a/": "", "b/a/f": "11", "g": "11", "b/deep": "13",
    }  # fmt: skip


def test_what_stays_without_a_name_is_removed(site: Site) -> None:
    site.tree.begin()
    site.tree.take_away(Name(ROOT, b"a"))
    site.tree.take_away(Name(10, b"b"))
    site.finish()
    assert site.names() == {"g": "11"}
    with pytest.raises(NoSuchObject):
        site.tree.file(13)


def test_a_number_that_is_used_again_is_another_object(site: Site) -> None:
    site.tree.begin()
    site.tree.replace(11)
    site.make(11, DIRECTORY, Name(ROOT, b"g"))
    site.finish()
    assert site.names() == {"a/": "", "a/b/": "", "a/b/deep": "13", "g/": ""}


@pytest.mark.parametrize("committed", [False, True])
def test_objects_are_found_again_after_a_crash(site: Site, committed: bool) -> None:
    site.tree.begin()
    site.make(14, DIRECTORY, Name(ROOT, b"new"))
    site.tree.take_away(Name(10, b"b"))
    site.tree.enter(Name(14, b"moved"), 12)
    site.tree.take_away(Name(ROOT, b"g"))
    site.tree.take_away(Name(10, b"f"))
    if committed:
        site.tree.drop_nameless()
        site.objects.commit(FACTS)
    site.die()
    site.come_back()
    assert site.objects.here(11) is None if committed else site.objects.name_of(11) is not None
    site.tree.begin()
    if not committed:
        site.make(14, DIRECTORY, Name(ROOT, b"new"))
        site.tree.enter(Name(14, b"moved"), 12)
    site.finish()
    assert site.names() == {"a/": "", "new/": "", "new/moved/": "", "new/moved/deep": "13"}


def test_an_object_that_somebody_has_removed_is_missed(site: Site) -> None:
    site.die()
    (site.root / "a" / "b" / "deep").unlink()
    with pytest.raises(MapDamaged, match="13"):
        site.come_back()


def test_an_object_that_somebody_has_replaced_is_noticed(site: Site) -> None:
    (site.root / "a" / "b" / "other").write_text("other")
    (site.root / "a" / "b" / "other").rename(site.root / "a" / "b" / "deep")
    with pytest.raises(MapDamaged, match="13"):
        site.tree.file(13)


def test_a_link_in_place_of_a_directory_is_not_followed(site: Site, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    site.tree.begin()
    site.tree.take_away(Name(10, b"b"))
    link = NewObject(15, stat.S_IFLNK | 0o777, target=b"../outside")
    os.close(site.tree.make(link, Name(ROOT, b"b")))
    with pytest.raises(NoSuchObject):
        site.make(16, FILE, Name(15, b"escaped"))
    assert list((tmp_path / "outside").iterdir()) == []


_NAMES = st.sampled_from([b"x", b"y", b"z"])
_NUMBERS = st.integers(10, 15)
_STEP = st.one_of(
    st.tuples(st.just("file"), _NUMBERS, st.integers(10, 13) | st.just(ROOT), _NAMES),
    st.tuples(st.just("directory"), _NUMBERS, st.integers(10, 13) | st.just(ROOT), _NAMES),
    st.tuples(st.just("enter"), _NUMBERS, st.integers(10, 13) | st.just(ROOT), _NAMES),
    st.tuples(st.just("take"), _NUMBERS, st.integers(10, 13) | st.just(ROOT), _NAMES),
)


@settings(max_examples=50, deadline=None)
@given(st.lists(_STEP, max_size=25), st.integers(0, 25))
def test_any_steps_keep_the_table_true(steps: list[tuple[str, int, int, bytes]], cut: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder))
        site.finish()
        site.tree.begin()
        for number, step in enumerate(steps):
            _take_step(site, *step)
            if number == cut:
                site.objects.commit(FACTS)
        _check(site, ROOT)
        site.finish()
        _check(site, ROOT)
        before = site.names()
        site.die()
        site.come_back()
        site.tree.end()
        assert site.names() == before
        site.die()


def _take_step(site: Site, what: str, number: int, parent: int, name: bytes) -> None:
    place = Name(parent, name)
    try:
        if what == "enter":
            site.tree.enter(place, number)
        elif what == "take":
            site.tree.take_away(place)
        else:
            site.tree.directory(parent)
            if number != parent:
                site.tree.replace(number)
                site.make(number, FILE if what == "file" else DIRECTORY, place)
    except NoSuchObject:
        # What makes no sense is refused; the table must stay true.
        return
    except OSError as error:
        # A directory does not go into itself.
        if error.errno != errno.EINVAL:
            raise


def _names(fd: int) -> list[bytes]:
    return sorted(os.fsencode(name) for name in os.listdir(fd))


def _check(site: Site, parent: int) -> None:
    """The table says of a directory, and all below, what is there."""
    fd = site.tree.directory(parent)
    entries = site.objects.entries(parent)
    assert _names(fd) == sorted(entries)
    for name, number in entries.items():
        status = os.stat(name, dir_fd=fd, follow_symlinks=False)
        assert status.st_ino == site.objects.here(number)
        if stat.S_ISDIR(status.st_mode) and number:
            _check(site, number)
