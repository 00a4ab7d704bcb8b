"""The files that come with tapekit are right; an administrator's are read whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tapekit.errors import TapekitError
from tapekit_qualification.files import administrators_entries, shipped_entries
from tapekit_qualification.table import Standing

if TYPE_CHECKING:
    from pathlib import Path


def refusals(folder: Path) -> list[TapekitError]:
    with pytest.raises(ExceptionGroup) as caught:
        administrators_entries(folder)
    mistakes = [error for error in caught.value.exceptions if isinstance(error, TapekitError)]
    assert len(mistakes) == len(caught.value.exceptions)
    return mistakes


def test_lto_5_to_9_and_virtual_drives_come_qualified() -> None:
    entries = shipped_entries()
    names = {entry.configuration.name for entry in entries}
    assert {f"IBM LTO-{generation}" for generation in range(5, 10)} <= names
    assert {"Hewlett-Packard LTO-5", "HPE LTO-9", "tapekit virtual tape"} <= names
    assert len(names) == len(entries) == 26
    assert {entry.standing for entry in entries} == {Standing.QUALIFIED}


@pytest.mark.parametrize(
    ("product", "density"),
    [("ULTRIUM-TD5", 0x58), ("ULTRIUM-HH6", 0x5A), ("ULT3580-TD7", 0x5C), ("ULTRIUM-TD8", 0x5E)],
)
def test_drives_that_come_qualified_have_the_density_of_their_generation(
    product: str, density: int
) -> None:
    (entry,) = (one for one in shipped_entries() if one.configuration.matches("IBM", product))
    formats = entry.configuration.formats
    assert (formats["h"].density, formats["h"].algorithm) == (density, 0)
    assert (formats["a"].density, formats["a"].algorithm) == (density, 1)


def test_the_files_of_a_folder_are_read(tmp_path: Path, guide_file: str, file_for: Any) -> None:
    (tmp_path / "a.tcf").write_text(guide_file)
    (tmp_path / "B.TCF").write_text(file_for("ACME", "TAPE 9000", 4))
    (tmp_path / "notes.txt").write_text("nothing to read")
    entries = administrators_entries(tmp_path)
    assert [entry.configuration.vendor_id for entry in entries] == ["ACME", "HP"]
    assert {entry.standing for entry in entries} == {Standing.DYNAMICALLY_QUALIFIED}


def test_a_folder_that_is_missing_qualifies_nothing(tmp_path: Path) -> None:
    assert administrators_entries(tmp_path / "none") == []


def test_the_mistakes_of_all_files_are_told_at_once(tmp_path: Path, guide_file: str) -> None:
    (tmp_path / "a.tcf").write_text(guide_file.replace("size=9", "size=0"))
    (tmp_path / "b.tcf").write_text(guide_file.replace("0x58", "58"))
    (tmp_path / "c.tcf").write_bytes(b'vendor_id="X"\r\nproduct_id=\xff')
    (tmp_path / "d.tcf").mkdir()
    mistakes = refusals(tmp_path)
    starts = ["a.tcf:5:15: id_match_size", "b.tcf:25:11: h_density", "b.tcf:31:11: a_density"]
    for mistake, start in zip(mistakes[:3], starts, strict=True):
        assert str(mistake).startswith(f"{tmp_path}/{start}")
        assert mistake.id.startswith("qualification.bad-")
    assert [str(mistake) for mistake in mistakes[3:]] == [
        f"{tmp_path}/c.tcf:2:12: byte ff is not ASCII",
        f"the tape configuration file {tmp_path}/d.tcf cannot be read: Is a directory",
    ]


def test_two_files_for_one_drive_are_told(tmp_path: Path, guide_file: str) -> None:
    (tmp_path / "a.tcf").write_text(guide_file)
    (tmp_path / "b.tcf").write_text(guide_file.replace("5-SCSI", "5 again"))
    (error,) = refusals(tmp_path)
    first, second = (tmp_path / name for name in ("a.tcf", "b.tcf"))
    assert str(error) == f"{second} and {first} both qualify HP Ultrium 5"


def test_a_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "qualification").write_text("")
    with pytest.raises(TapekitError, match="cannot be read: Not a directory"):
        administrators_entries(tmp_path / "qualification")
