"""Lists and trials: a stream is read and nothing is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.data_engine import FileResult, LogLevel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Restore = Callable[..., Any]

OK = FileResult.SUCCESSFUL
HERE = ("FILESYSTEM", "/vs1/vol1")


def sample(dump: Any, **common: Any) -> Any:
    return (
        dump(**common)
        .begin()
        .directory(2, [(b"top", 3), (b"inner", 4), (b"again", 3)])
        .directory(4, [(b"below", 5)])
        .file(3, b"top")
        .file(5, b"x" * 5000)
    )


def listed(outcome: Any) -> list[str]:
    lines = [text.split() for text in outcome.told(LogLevel.NORMAL)]
    return [" ".join(words) for words in lines if len(words) == 2]


@pytest.mark.requirement("R143")
def test_a_list_tells_names_and_numbers_and_restores_nothing(
    dump: Any, restore: Restore, folder: Path
) -> None:
    outcome = restore(sample(dump).end(), environment=[HERE, ("LIST", "Y")])
    assert outcome.error is None
    assert listed(outcome) == ["2 /", "4 /inner", "3 /again", "3 /top", "5 /inner/below"]
    assert any("3 files and 2 directories" in text for text in outcome.told(LogLevel.NORMAL))
    assert not any(folder.iterdir())
    assert outcome.kernel.storage.opened == []


@pytest.mark.requirement("R143")
def test_a_list_takes_what_is_selected_and_needs_no_file(
    dump: Any, restore: Restore, select: Any, folder: Path
) -> None:
    data = sample(dump).data
    cut = data.index(b"x" * 5000)
    outcome = restore(
        data[: cut - 1024],
        [select("inner", "/vs1/vol1/inner"), select("none", "/vs1/vol1/none")],
        [HERE, ("LIST", "T")],
    )
    assert outcome.error is None
    assert listed(outcome) == ["4 /inner", "5 /inner/below"]
    assert outcome.results == [("inner", OK), ("none", FileResult.NOT_FOUND)]


def test_a_list_needs_no_volume_to_restore_to(dump: Any, restore: Restore, select: Any) -> None:
    entry = select("inner", "/vs9/none/inner")
    outcome = restore(sample(dump).end(), [entry], [HERE, ("LIST", "Y")])
    assert outcome.error is None
    assert outcome.kernel.storage.opened == []
    with pytest.raises(TapekitError, match="no such volume"):
        restore(sample(dump).end(), [entry], [HERE, ("NOWRITE", "Y")])


@pytest.mark.requirement("R144")
def test_a_list_of_qtrees_is_empty_and_says_so(dump: Any, restore: Restore, folder: Path) -> None:
    outcome = restore(sample(dump).end(), environment=[HERE, ("LIST_QTREES", "Y")])
    assert outcome.error is None
    assert outcome.told(LogLevel.NORMAL) == ["0 qtrees; nothing has been restored"]
    assert not any(folder.iterdir())


@pytest.mark.requirement("R141")
def test_there_is_no_qtree_information_to_leave_out(
    dump: Any, restore: Restore, folder: Path
) -> None:
    outcome = restore(sample(dump).end(), environment=[HERE, ("IGNORE_QTREES", "Y")])
    assert outcome.error is None
    assert (folder / "inner/below").exists()


@pytest.mark.requirement("R149")
def test_a_trial_reads_everything_and_writes_nothing(
    dump: Any, restore: Restore, folder: Path
) -> None:
    data = sample(dump).end()
    outcome = restore(data, environment=[HERE, ("NOWRITE", "Y")])
    assert outcome.error is None
    assert outcome.job.progress.bytes_processed == len(data)
    assert not any(folder.iterdir())
    assert any("nothing has been restored" in text for text in outcome.told(LogLevel.NORMAL))


@pytest.mark.requirement("R149")
def test_a_trial_finds_what_a_restore_would_miss(
    dump: Any, restore: Restore, select: Any, folder: Path
) -> None:
    data = sample(dump).data
    outcome = restore(
        data[: data.index(b"x" * 5000) - 1024],
        [select("", "/vs1/vol1/all")],
        environment=[HERE, ("NOWRITE", "Y")],
    )
    assert outcome.error is not None
    assert outcome.error.id == "dump.stream-ended-early"
    assert any("/inner/below is missing" in text for text in outcome.told())
    assert outcome.results == [("", FileResult.IO_ERROR)]
    assert not any(folder.iterdir())


def test_a_trial_tells_damage(dump: Any, restore: Restore) -> None:
    data = bytearray(sample(dump).end())
    at = data.index(b"x" * 5000) - 1000
    data[at] ^= 1
    outcome = restore(bytes(data), environment=[HERE, ("NOWRITE", "Y")])
    assert outcome.error is not None
    assert any("are unreadable" in text for text in outcome.told())


def test_an_incremental_dump_can_be_listed(dump: Any, restore: Restore) -> None:
    outcome = restore(
        sample(dump, base_date=5).end(), environment=[HERE, ("LIST", "Y"), ("VERBOSE", "N")]
    )
    assert outcome.error is None
    assert "5 /inner/below" in listed(outcome)


def test_a_compressed_dump_is_refused(dump: Any, restore: Restore) -> None:
    data = dump().begin(flags=0x83).end()
    outcome = restore(data, environment=[HERE, ("LIST", "Y")])
    assert isinstance(outcome.error, TapekitError)
    assert outcome.error.id == "dump.dump-compressed"
