"""ndmpcopy as an operator runs it: two servers and the command, three processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest
from free_ports import free_port

from running_stack import PATIENCE_S, TAPEKIT, make_stack, run_checked, served
from tapekit_trees.comparing import compare_trees
from tapekit_trees.making import make_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from running_stack import Stack

VOLUME = "/vs1/vol1"
Pair = tuple["Stack", "Stack"]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Two systems that serve."""
    with served(tmp_path / "source") as source, served(tmp_path / "target") as target:
        yield source, target


def arguments(pair: Pair, *options: str, to: str = VOLUME, source_path: str = VOLUME) -> list[str]:
    source, target = pair
    return [
        *TAPEKIT,
        "ndmpcopy",
        *("-sa", "ndmp:", "-da", "ndmp:", "-st", "md5", "--allow-loopback"),
        *("--source-password-file", str(source.directory / "ndmp-password")),
        *("--destination-password-file", str(target.directory / "ndmp-password")),
        *("--source-port", str(source.port), "--destination-port", str(target.port)),
        f"127.0.0.1:{source_path}",
        f"127.0.0.1:{to}",
        *options,
    ]


def ndmpcopy(
    pair: Pair, *options: str, to: str = VOLUME, source_path: str = VOLUME
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments(pair, *options, to=to, source_path=source_path),
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        stdin=subprocess.DEVNULL,
        cwd=pair[0].directory,
    )


def differences(pair: Pair, to: str = "") -> list[str]:
    found = compare_trees(pair[0].volume, pair[1].volume / to)
    return [str(each) for each in found]


@pytest.mark.requirement("R084")
@pytest.mark.requirement("R085")
@pytest.mark.requirement("R086")
@pytest.mark.requirement("R097")
@pytest.mark.requirement("R099")
def test_a_full_copy_and_nine_increments_follow_the_source(pair: Pair) -> None:
    volume = pair[0].volume
    make_tree(volume, files=60, seed=3, wide=40, deep=5, far=1 << 20)
    (volume / "kept").mkdir()
    (volume / "kept" / "file0").write_text("0")
    done = ndmpcopy(pair, to=f"{VOLUME}/copy")
    assert done.returncode == 0, done.stderr
    assert ", level 0: " in done.stdout
    for level in range(1, 10):
        edit(volume, level)
        done = ndmpcopy(pair, "-l", str(level), to=f"{VOLUME}/copy")
        assert done.returncode == 0, done.stderr
        assert f", level {level}: " in done.stdout
        assert differences(pair, "copy") == [], f"level {level}"


def edit(volume: Path, level: int) -> None:
    """What happens between two copies: new, changed, renamed, removed, linked."""
    kept = volume / "kept"
    (kept / f"file{level}").write_text(str(level))
    (kept / f"file{level - 1}").rename(kept / f"old{level - 1}")
    (kept / f"link{level}").hardlink_to(kept / f"file{level}")
    (kept / f"directory{level}").mkdir()
    (kept / f"directory{level}" / "inner").write_bytes(os.urandom(5000))
    if level > 1:
        (kept / f"link{level - 1}").unlink()
        (kept / f"directory{level - 1}" / "inner").rename(kept / f"directory{level}" / "moved")
    if level == 2:
        (kept / "directory1").rmdir()
    (kept / f"old{level - 1}").chmod(0o600 + level % 8)


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files away needs root")
@pytest.mark.requirement("R084")
@pytest.mark.requirement("R087")
@pytest.mark.parametrize("to", ["", "/there/new name"], ids=["volume", "new name"])
def test_a_single_file_is_copied_alone(pair: Pair, to: str) -> None:
    source, target = pair
    original, beside = source.volume / "dir" / "file", target.volume / "there" / "beside"
    original.parent.mkdir()
    (original.parent / "sibling").write_text("not asked for")
    original.write_bytes(os.urandom(70_000))
    os.setxattr(original, "user.note", b"value")
    os.chown(original, 1234, 2345)
    original.chmod(0o640)
    os.utime(original, (1_000_000_000, 1_100_000_000))
    beside.parent.mkdir(mode=0o700)
    beside.write_text("stays")
    os.chown(beside.parent, 11, 12)
    done = ndmpcopy(pair, to=VOLUME + to, source_path=f"{VOLUME}/dir/file")
    assert done.returncode == 0, done.stderr
    arrived = target.volume / (to[1:] or "file")
    one, other = original.stat(), arrived.stat()
    assert arrived.read_bytes() == original.read_bytes()
    assert os.getxattr(arrived, "user.note") == b"value"
    assert (one.st_mode, one.st_uid, one.st_gid, one.st_mtime_ns) == (
        other.st_mode,
        other.st_uid,
        other.st_gid,
        other.st_mtime_ns,
    )
    above = beside.parent.stat()
    assert (above.st_mode & 0o777, above.st_uid, above.st_gid) == (0o700, 11, 12)
    assert beside.read_text() == "stays"
    assert not list(target.volume.rglob("sibling"))


def test_a_single_file_replaces_no_directory(pair: Pair) -> None:
    (pair[0].volume / "file").write_text("content")
    (pair[1].volume / "there").mkdir()
    done = ndmpcopy(pair, to=f"{VOLUME}/there", source_path=f"{VOLUME}/file")
    assert done.returncode == 1
    assert (pair[1].volume / "there").is_dir()
    assert not any((pair[1].volume / "there").iterdir())


@pytest.mark.parametrize("options", [("-l", "1"), ()], ids=["increment of a file", "no such path"])
def test_what_is_no_source_is_refused(pair: Pair, options: tuple[str, ...]) -> None:
    (pair[0].volume / "file").write_text("content")
    path = f"{VOLUME}/file" if options else f"{VOLUME}/missing"
    done = ndmpcopy(pair, *options, to=f"{VOLUME}/new", source_path=path)
    assert done.returncode == 1
    assert "the source says: " in done.stderr
    assert not (pair[1].volume / "new").is_file()


@pytest.mark.requirement("R103")
def test_names_are_left_out(pair: Pair) -> None:
    source, target = pair
    for name in ("mail.pst", "notes.txt", "plan", "tmp"):
        (source.volume / name).write_text(name)
    done = ndmpcopy(pair, "-exclude", "*.pst,tmp")
    assert done.returncode == 0, done.stderr
    assert sorted(each.name for each in target.volume.iterdir()) == ["notes.txt", "plan"]


def test_the_outcome_is_there_for_programs(pair: Pair) -> None:
    (pair[0].volume / "file").write_text("content")
    done = json.loads(ndmpcopy(pair, "--json").stdout)
    assert (done["status"], done["data_connection"], done["error"]) == ("copied", "TCP", None)
    assert done["bytes"] % 1024 == 0
    failed = ndmpcopy(pair, "--json", to="/vs1/vol7")
    assert failed.returncode == 1
    outcome = json.loads(failed.stdout)
    assert (outcome["status"], outcome["error"]) == ("failed", "ndmpcopy.copy-failed")
    assert "there is no volume /vs1/vol7" in outcome["message"]


def test_a_wrong_password_ends_it(pair: Pair) -> None:
    wrong = pair[0].directory / "wrong"
    wrong.write_text("wrong")
    wrong.chmod(0o600)
    done = ndmpcopy(pair, "--destination-password-file", str(wrong))
    assert done.returncode == 1
    assert "refuses ndmp with MD5 (NOT_AUTHORIZED_ERR)" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_full_destination_stops_the_source(tmp_path: Path) -> None:
    with served(tmp_path / "source") as source, served(tmp_path / "target") as target:
        small = target.volume / "small"
        small.mkdir()
        run_checked(["mount", "-t", "tmpfs", "-o", "size=1m", "tapekit-test", small])
        try:
            (source.volume / "large").write_bytes(os.urandom(32 << 20))
            done = ndmpcopy((source, target), to=f"{VOLUME}/small")
        finally:
            run_checked(["umount", small])
        assert done.returncode == 1
        assert "the destination says: " in done.stderr
        assert "No space left on device" in done.stderr
        # Both servers can be used again at once.
        done = ndmpcopy((source, target), to=f"{VOLUME}/large")
        assert done.returncode == 0, done.stderr


def cut_short(pair: Pair, cut: Callable[[subprocess.Popen[str]], object]) -> str:
    """Do something in the middle of a copy; gives what the command says."""
    source, target = pair
    content = os.urandom(16 << 20)
    for number in range(24):
        (source.volume / f"file{number}").write_bytes(content)
    with subprocess.Popen(
        arguments(pair), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as command:
        while not any(target.volume.iterdir()):
            assert command.poll() is None, "the copy was over before it could be cut"
        cut(command)
        out, told = command.communicate(timeout=PATIENCE_S)
    assert command.returncode == 1
    assert out == ""
    assert "Traceback" not in told
    return told


def test_ctrl_c_stops_both_servers(pair: Pair) -> None:
    told = cut_short(pair, lambda command: command.send_signal(signal.SIGINT))
    assert "the copy was interrupted by SIGINT" in told
    done = ndmpcopy(pair)
    assert done.returncode == 0, done.stderr
    assert differences(pair) == []


def test_a_server_that_dies_ends_the_copy(pair: Pair) -> None:
    source, _ = pair
    assert "control connection" in cut_short(pair, lambda _command: source.kill())
    source.start()
    done = ndmpcopy(pair)
    assert done.returncode == 0, done.stderr
    assert differences(pair) == []


def test_secure_control_connections_are_proved_or_refused(tmp_path: Path) -> None:
    stack, port = make_stack(tmp_path / "stack"), free_port()
    stack.edit(r"^svms = \[\]", 'svms = ["vs1"]')
    stack.edit(r'"127\.0\.0\.1:30000"', f'"127.0.0.1:{port}"')
    certificate = json.loads(stack.tapekit("tls", "show", "--json", str(stack.file)))
    (stack.volume / "kept").mkdir()
    (stack.volume / "kept" / "file").write_text("content")
    stack.start()
    try:
        line = [
            *arguments((stack, stack), source_path=f"{VOLUME}/kept", to=f"{VOLUME}/copy"),
            *("--source-port", str(port), "--source-tls", str(stack.directory / "ndmps.pem")),
            *("--destination-port", str(port), "--destination-tls"),
        ]
        done = run_checked([*line, certificate["sha256"]])
        assert ", level 0: " in done
        assert (stack.volume / "copy" / "file").read_text() == "content"
        refused = subprocess.run(
            [*line, "00" * 32], check=False, capture_output=True, text=True, timeout=PATIENCE_S
        )
        assert refused.returncode == 1
        assert "(tapekit explain ndmp_v4.server-certificate-differs)" in refused.stderr
    finally:
        assert stack.stop() == 0
