"""``tapekit dump extract``."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="owners and devices need root")
TREE = ["docs", "docs/again", "docs/sparse", "docs/tty", "hello", "here", "pipe"]


def names(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The directory to extract into, not made yet."""
    return tmp_path / "out"


@as_root
@pytest.mark.parametrize(("order", "new_format"), [("<", True), (">", True), (">", False)])
def test_everything_comes_back_in_every_form(
    tapekit_dump: Any, image: Any, stream: Any, out: Path, order: str, new_format: bool
) -> None:
    name = image(stream(order, new_format=new_format).end())
    outcome = tapekit_dump("extract", name, "-C", str(out))
    assert (outcome.status, names(out)) == (0, TREE)
    status = (out / "hello").stat()
    assert (status.st_uid, status.st_gid, status.st_nlink) == (1000, 100, 2)
    assert (stat.S_IMODE(status.st_mode), status.st_mtime) == (0o640, 1_600_000_000)
    assert (out / "docs/sparse").read_bytes() == b"x" * 1024 + bytes(1024) + b"y" * 10
    assert str((out / "here").readlink()) == "docs/again"
    assert (out / "docs/tty").stat().st_rdev == os.makedev(5, 1)
    assert tapekit_dump("verify", name, "--against", str(out)).status == 0


def test_what_is_named_comes_below_its_own_path(
    tapekit_dump: Any, image: Any, stream: Any, out: Path
) -> None:
    outcome = tapekit_dump(
        "extract", image(stream().end()), "/docs/sparse", "hello", "-C", str(out)
    )
    assert (outcome.status, names(out)) == (0, ["docs", "docs/sparse", "hello"])


@pytest.mark.parametrize(("path", "content"), [("docs", ["a/b", "a/b/again"]), ("hello", ["a/b"])])
def test_one_path_gets_another_name(
    tapekit_dump: Any, image: Any, dump: Any, out: Path, path: str, content: list[str]
) -> None:
    stream = dump().begin().directory(2, [(b"docs", 3, 4), (b"hello", 4, 8)])
    stream.directory(3, [(b"again", 5, 8)]).file(4, b"1").file(5, b"2")
    outcome = tapekit_dump("extract", image(stream.end()), path, "--to", "a/b", "-C", str(out))
    assert (outcome.status, names(out)) == (0, ["a", *content])


@pytest.mark.parametrize(
    "arguments", [("--to", "x"), ("a", "b", "--to", "x"), ("a", "--to", "../x"), ("a", "--to", ".")]
)
def test_another_name_is_for_one_path_and_below_the_directory(
    tapekit_dump: Any, image: Any, stream: Any, out: Path, arguments: tuple[str, ...]
) -> None:
    outcome = tapekit_dump("extract", image(stream().end()), *arguments, "-C", str(out))
    assert (outcome.status, out.exists()) == (2, False)
    assert "--to goes with exactly one PATH" in outcome.err


def test_paths_may_contain_each_other_and_come_twice(
    tapekit_dump: Any, image: Any, stream: Any, out: Path
) -> None:
    paths = ("docs/again", "docs/sparse", "hello", "./hello", "docs/sparse")
    outcome = tapekit_dump("extract", image(stream().end()), *paths, "-C", str(out))
    assert (outcome.status, outcome.losses()) == (0, [])
    assert names(out) == ["docs", "docs/again", "docs/sparse", "hello"]


def test_a_path_does_not_climb(tapekit_dump: Any, image: Any, stream: Any, out: Path) -> None:
    outcome = tapekit_dump("extract", image(stream().end()), "docs/../../x", "-C", str(out))
    assert (outcome.status, out.exists()) == (2, False)


def test_a_path_that_is_not_there_is_a_loss(
    tapekit_dump: Any, image: Any, stream: Any, out: Path
) -> None:
    outcome = tapekit_dump("extract", image(stream().end()), "hello", "none", "-C", str(out))
    assert (outcome.status, names(out)) == (1, ["hello"])
    assert "none is not in the image" in outcome.err
    assert "tapekit explain dump.extraction-incomplete" in outcome.err


@pytest.mark.parametrize(
    ("policy", "status", "content"),
    [("refuse", 1, "mine"), ("keep", 0, "mine"), ("replace", 0, "hello, world\n")],
)
def test_files_that_are_there_are_left_unless_they_may_be_replaced(
    tapekit_dump: Any, image: Any, stream: Any, out: Path, policy: str, status: int, content: str
) -> None:
    out.mkdir(0o711)
    (out / "hello").write_text("mine")
    data = image(stream().end())
    outcome = tapekit_dump(
        "extract", data, "hello", "docs/again", "-C", str(out), "--existing", policy
    )
    assert outcome.status == status
    assert (out / "hello").read_text() == content
    assert (out / "docs/again").read_text() == "hello, world\n"
    assert ("/hello is there already and was left as it is" in outcome.err) == (policy == "refuse")
    assert ("1 files were there already and were kept" in outcome.err) == (policy == "keep")


@pytest.mark.parametrize(("policy", "mode"), [("keep", 0o711), ("replace", 0o755)])
def test_directories_that_are_there_keep_their_attributes(
    tapekit_dump: Any, image: Any, dump: Any, out: Path, policy: str, mode: int
) -> None:
    for directory in (out, out / "docs"):
        directory.mkdir()
        directory.chmod(0o711)
    stream = dump().begin().directory(2, [(b"docs", 3, 4), (b"new", 4, 4)])
    stream.directory(3).directory(4)
    outcome = tapekit_dump("extract", image(stream.end()), "-C", str(out), "--existing", policy)
    assert outcome.status == 0
    found = [stat.S_IMODE(path.stat().st_mode) for path in (out, out / "docs", out / "new")]
    assert found == [mode, mode, 0o755]


def test_nothing_leads_out_of_the_directory(
    tapekit_dump: Any, image: Any, dump: Any, out: Path, tmp_path: Path
) -> None:
    """Neither a link that is there nor a name of the image."""
    outside = tmp_path / "outside"
    outside.mkdir()
    out.mkdir()
    (out / "docs").symlink_to(outside)
    stream = dump().begin()
    stream.directory(2, [(b"docs", 3, 4), (b"../evil", 4, 8), (b"..", 5, 8), (b"good", 6, 8)])
    stream.directory(3, [(b"file", 7, 8)])
    for inode in (4, 5, 6, 7):
        stream.file(inode, b"1")
    outcome = tapekit_dump("extract", image(stream.end()), "-C", str(out), "--existing", "replace")
    assert outcome.status == 1
    assert (names(outside), names(out)) == ([], ["docs", "good"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image.dump", "out", "outside"]
    for told in ("The directory /docs could not be made", "../evil", "contains a slash"):
        assert told in outcome.err


def test_all_but_the_damaged_part_is_extracted(
    tapekit_dump: Any, image: Any, dump: Any, out: Path
) -> None:
    stream = dump().begin().directory(2, [(b"%d" % number, number, 8) for number in range(3, 9)])
    for number in range(3, 6):
        stream.file(number, b"%d" % number)
    stream.raw(bytes(5 * 1024))
    for number in range(6, 9):
        stream.file(number, b"%d" % number)
    outcome = tapekit_dump("extract", image(stream.end()), "-C", str(out))
    assert outcome.status == 1
    assert {path.name: path.read_text() for path in out.iterdir()} == {
        str(number): str(number) for number in range(3, 9)
    }
    assert "5120 bytes of the stream" in outcome.err


def test_a_directory_that_cannot_be_made_is_told(
    tapekit_dump: Any, image: Any, stream: Any, out: Path
) -> None:
    out.write_text("a file")
    outcome = tapekit_dump("extract", image(stream().end()), "-C", str(out))
    assert outcome.status == 1
    assert f"{out} cannot be used as a destination" in outcome.err
