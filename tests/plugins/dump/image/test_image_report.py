"""What goes where when images are worked on."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from tapekit.hookspecs.data_engine import LogLevel
from tapekit_dump.image_report import ImageReport
from tapekit_dump.image_source import ImageSource

if TYPE_CHECKING:
    from pathlib import Path


class MemoryTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def a_source(path: Path) -> ImageSource:
    path.write_bytes(bytes(20 << 20))
    file = path.open("rb", buffering=0)
    try:
        return ImageSource(file.fileno(), lambda *_: None)
    finally:
        file.close()


def test_messages_go_to_standard_error_with_their_weight() -> None:
    out, err = io.StringIO(), io.StringIO()
    report = ImageReport(out, err)
    for level in (LogLevel.NORMAL, LogLevel.WARNING, LogLevel.ERROR):
        report.log(level, "[bold]said " * 30)
    said = ("[bold]said " * 30).rstrip()
    lines = [line.rstrip() for line in err.getvalue().splitlines()]
    assert lines == [said, f"warning: {said}", f"error: {said}"]
    assert out.getvalue() == ""


def test_a_terminal_gets_a_bar_that_leaves_nothing(tmp_path: Path) -> None:
    out, err = io.StringIO(), MemoryTerminal()
    source = a_source(tmp_path / "image")
    with ImageReport(out, err).bar(source, "reading"):
        assert source.moved is not None
        source.moved(10 << 20)
        source.moved(20 << 20)
    assert "reading" in err.getvalue()
    assert out.getvalue() == ""


def test_without_a_terminal_there_is_no_bar(tmp_path: Path) -> None:
    err = io.StringIO()
    source = a_source(tmp_path / "image")
    with ImageReport(io.StringIO(), err).bar(source, "reading"):
        assert source.moved is None
    assert err.getvalue() == ""
