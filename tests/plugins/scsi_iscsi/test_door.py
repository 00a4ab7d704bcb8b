"""A door sends nothing more once an answer has failed to come."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi.door import ScsiAddress, Status
from tapekit_scsi_iscsi.door import IscsiDoor
from tapekit_scsi_iscsi.library import LibraryFailure

READY = bytes(6)


def door_of(connection: Any, rest_s: float = 3600.0) -> IscsiDoor:
    return IscsiDoor(connection, "i.0L1", ScsiAddress(0, 0, 1), 1, rest_s=rest_s)


@pytest.fixture
def connection(target: Any) -> Any:
    return target.connect(None)


def test_commands_go_to_the_unit(connection: Any) -> None:
    door = door_of(connection)
    assert door.execute(READY, timeout_s=0.2).status == Status.GOOD
    assert door.execute(READY).status == Status.GOOD
    assert connection.timeouts == [1, 0]
    door.reset()
    assert door.execute(READY, timeout_s=2.1).status == Status.CHECK_CONDITION
    assert connection.timeouts[-1] == 3
    door.close()
    assert connection.has_logged_out


@pytest.mark.parametrize(
    ("is_timeout", "condition", "words"),
    [
        (False, Condition.HARDWARE_ERROR, "The path to i.0L1 is lost: reset by peer"),
        (True, Condition.TIMEOUT, "i.0L1 did not answer command 00h within 9 seconds"),
    ],
)
def test_after_a_failure_nothing_more_is_sent(
    connection: Any, is_timeout: bool, condition: Condition, words: str
) -> None:
    door = door_of(connection)
    connection.failure = LibraryFailure("reset by peer", is_timeout=is_timeout)
    with pytest.raises(TapeError) as caught:
        door.execute(READY, timeout_s=9)
    assert caught.value.condition is condition
    assert str(caught.value).startswith(words)
    connection.failure = None
    for work in (lambda: door.execute(READY, timeout_s=9), door.reset):
        with pytest.raises(TapeError, match="lost: reset by peer"):
            work()
    assert len(connection.timeouts) == 1
    door.close()
    assert (connection.has_logged_out, connection.is_destroyed) == (False, True)


def test_a_reset_that_is_refused_loses_nothing(connection: Any) -> None:
    door = door_of(connection)
    connection.failure = LibraryFailure("not supported")
    with pytest.raises(TapeError, match=r"i\.0L1 was not reset: not supported"):
        door.reset()
    connection.failure = None
    assert door.execute(READY, timeout_s=9).status == Status.GOOD
    door.close()


def test_a_door_is_closed_once_whatever_the_target_says(connection: Any) -> None:
    door = door_of(connection)
    connection.failure = LibraryFailure("gone")
    door.close()
    assert connection.is_destroyed
    connection.is_destroyed = False
    door.close()
    assert not connection.is_destroyed
    with pytest.raises(TapeError, match="lost: the device has been closed"):
        door.execute(READY)


def test_a_connection_without_commands_is_looked_after(connection: Any) -> None:
    served = threading.Event()
    serve = connection.serve

    def notice() -> None:
        served.set()
        serve()

    connection.serve = notice
    door = door_of(connection, rest_s=0.001)
    assert served.wait(60)
    door.close()


def test_the_end_of_a_connection_is_noticed_before_a_command(connection: Any) -> None:
    lost = threading.Event()

    def fail() -> None:
        lost.set()
        raise LibraryFailure("closed by the target")

    connection.serve = fail
    door = door_of(connection, rest_s=0.001)
    assert lost.wait(60)
    with pytest.raises(TapeError, match="lost: closed by the target"):
        door.execute(READY, timeout_s=1)
    assert connection.timeouts == []
    door.close()
