"""``tapekit dump verify --against``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners and devices need root")


@pytest.fixture
def compared(tapekit_dump: Any, image: Any, stream: Any, tmp_path: Path) -> Callable[..., Any]:
    """Extracts the example, changes it, and compares; a change must not
    touch times where they are not its matter.
    """

    def compare(change: Callable[[Path], object]) -> Any:
        name, out = image(stream().end()), tmp_path / "out"
        assert tapekit_dump("extract", name, "-C", str(out)).status == 0
        times = {path: path.lstat() for path in (out, *out.rglob("*"))}
        change(out)
        for path, status in times.items():
            if os.path.lexists(path):
                ns = status.st_atime_ns, status.st_mtime_ns
                os.utime(path, ns=ns, follow_symlinks=False)
        return tapekit_dump("verify", name, "--against", str(out))

    return compare


def write_at(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def relink(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    path.chmod(0o640)
    os.chown(path, 1000, 100)


def replace(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


DIFFERENCES = [
    (
        lambda out: write_at(out / "docs/sparse", 5, b"!"),
        "docs/sparse: has other content from byte 5 on",
    ),
    (
        lambda out: write_at(out / "docs/sparse", 1500, b"!"),
        "docs/sparse: has other content from byte 1500 on",
    ),
    (
        lambda out: write_at(out / "docs/sparse", 2057, b"!"),
        "docs/sparse: has other content from byte 2057 on",
    ),
    (
        lambda out: write_at(out / "docs/sparse", 2058, b"!"),
        "docs/sparse: has 2059 bytes, in the image 2058",
    ),
    (
        lambda out: (out / "docs/sparse").chmod(0o600),
        "docs/sparse: has mode 0600, in the image 0644",
    ),
    (
        lambda out: os.chown(out / "pipe", 1, 2),
        "pipe: belongs to 1/2, in the image to 1000/100",
    ),
    (lambda out: (out / "docs/sparse").unlink(), "docs/sparse: cannot be looked at: No such file"),
    (
        lambda out: replace(out / "pipe", lambda path: path.write_text("")),
        "pipe: is a file, in the image a fifo",
    ),
    (lambda out: relink(out / "docs/again"), "docs/again: is no hard link to hello"),
    (
        lambda out: replace(
            out / "docs/tty",
            lambda path: (
                os.mknod(path, 0o020620, os.makedev(5, 2)),
                path.chmod(0o620),
                os.chown(path, 1000, 100),
            ),
        ),
        "docs/tty: is device (5, 2), in the image (5, 1)",
    ),
    (
        lambda out: replace(
            out / "here",
            lambda path: (path.symlink_to("else"), os.lchown(path, 1000, 100)),
        ),
        "here: points to else, in the image to docs/again",
    ),
]


def test_nothing_differs_in_what_was_extracted(compared: Any) -> None:
    outcome = compared(lambda out: (out / "beside").write_text("only the directory has this"))
    assert (outcome.status, outcome.err) == (0, "")


@pytest.mark.parametrize(("change", "told"), DIFFERENCES)
def test_each_difference_is_told_by_name(
    compared: Any, change: Callable[[Path], object], told: str
) -> None:
    outcome = compared(change)
    assert outcome.status == 1
    (first, *_) = outcome.lines
    assert first.startswith(told)
    assert "differs from the image; differences: 1" in outcome.err


def test_a_time_is_compared_as_far_as_the_image_tells_it(
    tapekit_dump: Any, image: Any, stream: Any, tmp_path: Path
) -> None:
    name, out = image(stream().end()), tmp_path / "out"
    tapekit_dump("extract", name, "-C", str(out))
    os.utime(out / "hello", ns=(0, 1_600_000_000_500_000_000))
    assert tapekit_dump("verify", name, "--against", str(out)).status == 0
    os.utime(out / "hello", ns=(0, 1_600_000_001_000_000_000))
    outcome = tapekit_dump("verify", name, "--against", str(out))
    assert "hello: was modified at 2020-09-13 12:26:41Z and 0 us, in the image at" in outcome.out


def test_no_symbolic_link_is_followed(
    tapekit_dump: Any, image: Any, stream: Any, tmp_path: Path
) -> None:
    name, out = image(stream().end()), tmp_path / "out"
    tapekit_dump("extract", name, "-C", str(out))
    (out / "docs").rename(tmp_path / "elsewhere")
    (out / "docs").symlink_to(tmp_path / "elsewhere")
    outcome = tapekit_dump("verify", name, "--against", str(out))
    assert outcome.status == 1
    assert "docs/sparse: cannot be looked at" in outcome.out


def test_a_file_that_goes_on_behind_the_image_is_not_equal(
    tapekit_dump: Any, image: Any, dump: Any, tmp_path: Path
) -> None:
    """A dump may leave the hole at a file's end out."""
    out, size = tmp_path / "out", 1 << 20
    stream = dump().begin().directory(2, [(b"file", 3, 8)])
    stream.object(3, 0o100644, b"1" * 1024, size=size)
    name = image(stream.end())
    assert tapekit_dump("extract", name, "-C", str(out)).status == 0
    assert tapekit_dump("verify", name, "--against", str(out)).status == 0
    write_at(out / "file", 700_000, b"!")
    os.utime(out / "file", ns=(0, 0))
    outcome = tapekit_dump("verify", name, "--against", str(out))
    assert outcome.lines[0] == "file: has other content from byte 700000 on"


def test_a_directory_that_is_not_there_is_told(tapekit_dump: Any, image: Any, stream: Any) -> None:
    outcome = tapekit_dump("verify", image(stream().end()), "--against", "none")
    assert outcome.status == 1
    assert "none cannot be read: No such file or directory" in outcome.err


def test_attributes_are_compared(
    tapekit_dump: Any, image: Any, backed_up_folder: Callable[[Path], bytes], tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    (tree / "inner").mkdir(parents=True)
    (tree / "inner/file").write_bytes(b"content")
    (tree / "inner/again").hardlink_to(tree / "inner/file")
    os.setxattr(tree / "inner", "user.one", b"1")
    os.setxattr(tree / "inner/file", "user.two", b"2")
    os.setxattr(tree / "inner/file", "user.long", b"x" * 1000)
    os.mkfifo(tree / "pipe")
    os.setxattr(tree / "pipe", "trusted.three", b"3")
    name = image(backed_up_folder(tree))
    assert tapekit_dump("verify", name, "--against", str(tree)).status == 0
    os.setxattr(tree / "inner", "user.one", b"other")
    os.setxattr(tree / "inner", "user.of-the-directory-alone", b"")
    os.removexattr(tree / "inner/file", "user.long")
    os.setxattr(tree / "pipe", "trusted.three", b"")
    outcome = tapekit_dump("verify", name, "--against", str(tree))
    assert outcome.status == 1
    told = [line.partition(": ") for line in outcome.lines if " attribute " in line]
    assert {(path.rpartition("/")[0], what) for path, _, what in told} == {
        ("", "has another attribute user.one"),
        ("inner", "lacks the attribute user.long"),
        ("", "has another attribute trusted.three"),
    }
