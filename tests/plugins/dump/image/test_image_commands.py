"""``tapekit dump info``, ``list`` and ``verify`` from the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FORMS = [
    pytest.param("<", {}, id="little-endian"),
    pytest.param(">", {}, id="big-endian"),
    pytest.param(">", {"new_format": False}, id="before-4.4BSD"),
]
NAMES = [".", "docs", "docs/again", "docs/sparse", "docs/tty", "hello", "here", "pipe"]


@pytest.mark.parametrize(("order", "options"), FORMS)
def test_all_names_are_listed_in_every_form(
    tapekit_dump: Any, image: Any, stream: Any, order: str, options: dict[str, Any]
) -> None:
    outcome = tapekit_dump("list", image(stream(order, **options).end()))
    assert outcome.status == 0
    assert sorted(outcome.lines) == NAMES


@pytest.mark.parametrize(("order", "options"), FORMS)
def test_long_lines_tell_attributes_links_and_targets(
    tapekit_dump: Any, image: Any, stream: Any, order: str, options: dict[str, Any]
) -> None:
    lines = tapekit_dump("list", "-l", image(stream(order, **options).end())).lines
    told = {" ".join(line.split()) for line in lines}
    when = "2020-09-13 12:26:40Z"
    assert {
        f"-rw-r----- 1000/100 13 {when} hello",
        f"hrw-r----- 1000/100 13 {when} docs/again link to hello",
        f"lrwxrwxrwx 1000/100 10 {when} here -> docs/again",
        f"crw--w---- 1000/100 5,1 {when} docs/tty",
        f"prw------- 1000/100 0 {when} pipe",
        "drwx------ 0/0 0 1970-01-01 00:00:00Z docs",
    } <= told


def test_json_has_a_row_for_each_name(tapekit_dump: Any, image: Any, stream: Any) -> None:
    rows = {row["path"]: row for row in tapekit_dump("list", "--json", image(stream().end())).json}
    assert sorted(rows) == NAMES
    assert rows["docs/again"]["link_to"] == "hello"
    assert rows["docs/tty"]["device"] == [5, 1]
    assert rows["here"]["target"] == "docs/again"
    assert (rows["hello"]["kind"], rows["hello"]["mode"]) == ("file", "0640")


def test_json_of_nothing_is_an_empty_array(tapekit_dump: Any, image: Any, stream: Any) -> None:
    assert tapekit_dump("list", "--json", image(stream().end()), "no such").json == []


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("docs", ["docs", "docs/again", "docs/sparse", "docs/tty"]),
        ("/docs/", ["docs", "docs/again", "docs/sparse", "docs/tty"]),
        ("./hello", ["hello"]),
        ("*a*", ["docs/again", "docs/sparse"]),
        ("doc", []),
        (".", NAMES),
    ],
)
def test_patterns_choose_what_is_listed(
    tapekit_dump: Any, image: Any, stream: Any, pattern: str, names: list[str]
) -> None:
    assert sorted(tapekit_dump("list", image(stream().end()), pattern).lines) == names


def test_an_image_comes_by_a_pipe_as_well(tapekit_dump: Any, stream: Any) -> None:
    outcome = tapekit_dump("list", "-", piped=stream().end())
    assert (outcome.status, sorted(outcome.lines)) == (0, NAMES)


def test_info_tells_the_dump_and_what_is_in_it(tapekit_dump: Any, image: Any, stream: Any) -> None:
    data = stream(">").end()
    found = tapekit_dump("info", "--json", image(data)).json
    assert {key: found[key] for key in ("form", "byte_order", "host", "filesystem", "label")} == {
        "form": "BSD dump",
        "byte_order": "big-endian",
        "host": "alpha",
        "filesystem": "/data",
        "label": "demo",
    }
    assert found["counts"] == {
        "character device": 1,
        "directory": 2,
        "fifo": 1,
        "file": 2,
        "hard link": 1,
        "symbolic link": 1,
    }
    assert (found["content_bytes"], found["stream_bytes"]) == (13 + 2058, len(data))
    assert (found["complete"], found["base_date_s"]) == (True, None)


def test_info_in_words(tapekit_dump: Any, image: Any, stream: Any) -> None:
    lines = tapekit_dump("info", image(stream(new_format=False).end())).lines
    assert "form:         BSD dump of before 4.4BSD, with users of 16 bits" in lines
    assert "date:         2020-09-13 12:26:40Z" in lines
    assert "builds on:    nothing, it is a full dump" in lines
    assert "blocking:     10 KiB" in lines
    assert "complete:     yes" in lines


def test_a_complete_image_is_verified(tapekit_dump: Any, image: Any, stream: Any) -> None:
    data = stream().end()
    outcome = tapekit_dump("verify", image(data))
    assert (outcome.status, outcome.err) == (0, "")
    assert f"is complete: {len(data):,} bytes were read" in outcome.out


def test_an_incremental_image_lists_what_it_has(tapekit_dump: Any, image: Any, dump: Any) -> None:
    """A directory of an increment names objects that stayed as they were."""
    used, dumped = b"\x3e".ljust(1024, b"\0"), b"\x0a".ljust(1024, b"\0")
    stream = dump(base_date=1_500_000_000).begin_with(used, dumped)
    stream.directory(2, [(b"old", 3, 8), (b"new", 4, 8)]).file(4, b"new")
    outcome = tapekit_dump("list", image(stream.end()))
    assert (outcome.status, outcome.lines) == (0, [".", "new"])


def test_every_loss_is_told_by_name_and_offset(tapekit_dump: Any, image: Any, dump: Any) -> None:
    stream = dump().begin()
    stream.directory(2, [(b"one", 3, 8), (b"two", 4, 8), (b"three", 5, 8)])
    stream.file(3, b"1" * 3000)
    damaged = len(stream.data)
    stream.file(4, b"2" * 3000).file(5, b"3" * 3000)
    data = bytearray(stream.end())
    data[damaged + 40 : damaged + 60] = bytes(20)
    outcome = tapekit_dump("verify", image(bytes(data)))
    assert outcome.status == 1
    assert outcome.losses() == [
        (
            f"4096 bytes of the stream at byte {damaged} are unreadable (checksum of the header), "
            "near /one"
        ),
        (
            "/one was restored, but the stream is unreadable right behind it, and its content may "
            "be wrong"
        ),
        "/two is missing: its content is not in the stream",
    ]
    assert "2 objects are missing or incomplete, 1 parts are unreadable" in outcome.err


@pytest.mark.parametrize("command", ["info", "list", "verify"])
def test_an_image_that_ends_early_is_not_complete(
    tapekit_dump: Any, image: Any, stream: Any, command: str
) -> None:
    data = stream().data[:-2048]
    outcome = tapekit_dump(command, image(data))
    assert outcome.status == 1
    assert f"The image ends at byte {len(data)}, before the end of the dump" in outcome.err
    assert "complete:     yes" not in outcome.out


def test_a_cut_file_is_told_with_the_place_of_the_cut(
    tapekit_dump: Any, image: Any, dump: Any
) -> None:
    stream = dump().begin().directory(2, [(b"long", 3, 8), (b"link", 3, 8)])
    stream.file(3, b"1" * 512 * 1024, size=600 * 1024).more(3, b"2" * 80 * 1024, b"\1" * 88)
    outcome = tapekit_dump("verify", image(stream.data))
    assert outcome.losses() == [
        "/link is incomplete: its content is certain only up to byte 524288",
        "/long is missing: it is another name of /link, which could not be completed",
    ]


@pytest.mark.parametrize("command", ["info", "list", "verify", "extract"])
@pytest.mark.parametrize(
    ("beginning", "message"),
    [
        (b"\x1f\x8b\x08", "was compressed as a whole by gzip\n  Unpack it on the way: gzip -dc"),
        (b"\x28\xb5\x2f\xfd", "was compressed as a whole by zstd\n  Unpack it on the way: zstd"),
        (bytes(24) + b"\0\0\xea\x6b", "inode numbers of 16 bits, which is not read"),
        (bytes(24) + b"\x6d\xea\0\0", "illumos for more than two terabytes, which is not read"),
        (b"nothing", "does not begin as a dump"),
        (b"", "does not begin as a dump"),
    ],
)
def test_what_is_no_dump_is_refused_with_a_hint(
    tapekit_dump: Any, image: Any, command: str, beginning: bytes, message: str
) -> None:
    outcome = tapekit_dump(command, image(beginning.ljust(2048 if beginning else 0, b"\0")))
    assert outcome.status == 1
    assert message in outcome.err


def test_an_image_that_is_not_there_is_told(tapekit_dump: Any) -> None:
    outcome = tapekit_dump("list", "none")
    assert outcome.status == 1
    assert "none cannot be read: No such file or directory" in outcome.err


def test_names_cannot_control_the_terminal(tapekit_dump: Any, image: Any, dump: Any) -> None:
    stream = dump().begin().directory(2, [(b"\x1b[2J\xff\n", 3, 10)])
    stream.object(3, 0o120777, b"\x1b]0;x")
    name = image(stream.end())
    (_, line) = tapekit_dump("list", "-l", name).lines
    assert line.endswith(r"\x1b[2J\xff\x0a -> \x1b]0;x")


def test_commands_of_a_stack_stay_with_the_stack(
    tapekit_dump: Callable[..., Any], tmp_path: Path
) -> None:
    outcome = tapekit_dump("dates")
    assert outcome.status == 2
    assert "tapekit.toml" in outcome.err
    stack = tmp_path / "tapekit.toml"
    stack.write_text('plugins = ["dump"]\n')
    assert tapekit_dump("dates").status == 0
