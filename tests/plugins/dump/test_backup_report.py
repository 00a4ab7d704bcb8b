"""What the operator is told."""

from __future__ import annotations

from tapekit.hookspecs.data_engine import LogLevel
from tapekit.testing import MemoryServices
from tapekit_dump.backup_report import BackupReport, readable
from tapekit_dump.errors import CATALOGUE

VANISHED = CATALOGUE.error("file-vanished", path="a")
LONG_NAME = CATALOGUE.error("name-of-255-bytes", path="b")


def test_path_is_one_line_whatever_its_bytes() -> None:
    assert readable(b"a/b c") == "a/b c"
    assert readable("grüße".encode()) == "grüße"
    assert readable(b"a\nb\x7f\xff") == "a\\x0ab\\x7f\\xff"
    assert readable(b"") == "/"


def test_losses_are_counted_and_told() -> None:
    services = MemoryServices()
    report = BackupReport(services, verbose=False, debug=False)
    report.lose(VANISHED)
    report.lose(VANISHED, count=5)
    report.warn(LONG_NAME)
    assert report.losses == 6
    assert [level for level, _ in services.messages] == [LogLevel.WARNING] * 3
    assert services.messages[0][1] == str(VANISHED)


def test_some_warnings_come_once() -> None:
    services = MemoryServices()
    report = BackupReport(services, verbose=False, debug=False)
    for error in (LONG_NAME, LONG_NAME, VANISHED, VANISHED):
        report.warn_once(error)
    assert [text for _, text in services.messages] == [str(LONG_NAME), str(VANISHED)]
    assert report.losses == 0


def test_details_come_when_asked_for() -> None:
    quiet, loud = MemoryServices(), MemoryServices()
    for services, wanted in ((quiet, False), (loud, True)):
        report = BackupReport(services, verbose=wanted, debug=wanted)
        report.say("always")
        report.tell("verbose")
        report.debug("debug")
    assert quiet.messages == [(LogLevel.NORMAL, "always")]
    assert loud.messages[1:] == [(LogLevel.NORMAL, "verbose"), (LogLevel.DEBUG, "debug")]
