"""The log of -d: one file a day, complete, private, without secrets."""

from __future__ import annotations

import datetime as dt
import io
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from tapekit.errors import TapekitError
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import NdmpClient
from tapekit_ndmpcopy.debug_log import DebugLog, open_debug_log

if TYPE_CHECKING:
    from pathlib import Path

NOW_S = 1_700_000_000.5
NOW = dt.datetime.fromtimestamp(NOW_S, dt.UTC).astimezone()


def clock() -> float:
    return NOW_S


class FailingFile(io.RawIOBase):
    """A file on a disk that is full after so many lines."""

    def __init__(self, lines: int) -> None:
        self.left = lines

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        if not self.left:
            raise OSError(28, "No space left on device")
        self.left -= 1
        return 1


@pytest.mark.requirement("R100")
def test_the_log_has_the_name_of_its_day_and_grows(tmp_path: Path) -> None:
    for text in ("first", "second"):
        with open_debug_log(tmp_path, clock) as log:
            log.say("ndmpcopy", text)
    file = tmp_path / f"ndmpcopy.{NOW:%Y%m%d}"
    stamp = NOW.isoformat(timespec="milliseconds")
    assert file.read_text() == f"{stamp} ndmpcopy first\n{stamp} ndmpcopy second\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.requirement("R100")
async def test_messages_are_logged_without_secrets(tmp_path: Path) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    with open_debug_log(tmp_path, clock) as log:
        client = NdmpClient(ours, address="memory", clock=clock, watch=log.watcher("source"))
        login = m.ConnectClientAuthRequest(auth_data=m.AuthText(auth_id="me", auth_password="pst"))
        with trio.move_on_after(0.01):
            await client.call(login)
        await theirs.aclose()
    text = log.file.read_text()
    assert "source {" in text
    assert '"message":"CONNECT_CLIENT_AUTH"' in text
    assert '"auth_id":"me"' in text
    assert "pst" not in text


def test_a_folder_that_cannot_hold_it_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(TapekitError, match="No such file or directory") as refused,
        open_debug_log(tmp_path / "nowhere", clock),
    ):
        pytest.fail("opened")
    assert refused.value.id == "ndmpcopy.debug-log-unwritable"


def test_nobody_else_decides_where_the_log_goes(tmp_path: Path) -> None:
    (tmp_path / f"ndmpcopy.{NOW:%Y%m%d}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TapekitError, match="symbolic links"), open_debug_log(tmp_path, clock):
        pytest.fail("opened")
    assert not (tmp_path / "elsewhere").exists()


def test_a_full_disk_ends_the_log_and_nothing_else(tmp_path: Path) -> None:
    log = DebugLog(tmp_path / "log", FailingFile(1), clock)  # type: ignore[arg-type]  # a raw file
    log.say("a", "x")
    assert log.problem is None
    log.say("a", "y")
    log.say("a", "z")
    assert str(log.problem).endswith("cannot be written: No space left on device")
