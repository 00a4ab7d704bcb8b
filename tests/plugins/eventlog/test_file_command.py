"""``tapekit rdfile``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from tapekit.cli.groups import group_command
from tapekit.errors import TapekitError
from tapekit_eventlog.file_command import rdfile_app
from tapekit_eventlog.plugin import EventlogPlugin

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tapekit.kernel import StackKernel


@pytest.mark.requirement("R301", "R303")
def test_the_log_is_read_under_the_name_that_a_storage_system_has(
    assembled: Callable[..., StackKernel], tmp_path: Path
) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log/backup").write_bytes(b"this week\nof \xff\n")
    (tmp_path / "log/backup.0").write_text("last week\n")
    app = group_command([assembled(EventlogPlugin).command_groups({})["rdfile"]])

    def ask(*words: str) -> str:
        return CliRunner().invoke(app, words).output

    assert ask("rdfile", "/etc/log/backup").splitlines()[0] == "this week"
    assert ask("rdfile").splitlines()[0] == "this week"
    assert ask("rdfile", "/etc/log/backup.0") == "last week\n"


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/etc/log/../passwd", "backup", "/etc/log/backup.6", "/etc/log/"]
)
def test_nothing_but_the_log_is_read(tmp_path: Path, path: str) -> None:
    (tmp_path / "backup").write_text("a line\n")
    result = CliRunner().invoke(rdfile_app(lambda: tmp_path / "backup"), [path])
    assert isinstance(result.exception, TapekitError)
    assert result.exception.id == "eventlog.no-log-file"
    assert "/etc/log/backup, /etc/log/backup.0" in str(result.exception)


def test_a_week_that_is_not_there_is_told(tmp_path: Path) -> None:
    result = CliRunner().invoke(rdfile_app(lambda: tmp_path / "backup"), ["/etc/log/backup.3"])
    assert isinstance(result.exception, TapekitError)
    assert result.exception.id == "eventlog.log-unreadable"
