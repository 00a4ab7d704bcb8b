"""Drives are qualified by the best file for them, or emulate one that is."""

from __future__ import annotations

from typing import Any

import pytest

from tapekit.errors import TapekitError
from tapekit_qualification.parsing import read_configuration
from tapekit_qualification.settings import EmulationSettings
from tapekit_qualification.table import QualificationTable, Standing, TableEntry


def entry(text: str, standing: Standing, file: str = "x") -> TableEntry:
    configuration = read_configuration(text, file).configuration
    assert configuration is not None
    return TableEntry(configuration, standing, file)


@pytest.mark.requirement("R053")
def test_a_drive_with_a_file_is_qualified(guide_file: str) -> None:
    table = QualificationTable([entry(guide_file, Standing.QUALIFIED)])
    judgement = table.judge("HP", "Ultrium 5-SCSI")
    assert judgement.standing is Standing.QUALIFIED
    assert judgement.name == "Hewlett-Packard LTO-5"


@pytest.mark.requirement("R054")
def test_a_drive_without_a_file_is_nonqualified(guide_file: str) -> None:
    table = QualificationTable([entry(guide_file, Standing.QUALIFIED)])
    judgement = table.judge("ACME", "TAPE 9000")
    assert judgement.standing is Standing.NONQUALIFIED
    assert judgement.configuration is None
    assert judgement.name == "ACME TAPE 9000"


def test_the_administrators_file_wins(guide_file: str) -> None:
    own = guide_file.replace("LTO-5 1600GB", "mine")
    for more in (own, own.replace("size=9", "size=7")):
        table = QualificationTable(
            [entry(guide_file, Standing.QUALIFIED), entry(more, Standing.DYNAMICALLY_QUALIFIED)]
        )
        judgement = table.judge("HP", "Ultrium 5-SCSI")
        assert judgement.standing is Standing.DYNAMICALLY_QUALIFIED
        assert judgement.configuration is not None
        assert judgement.configuration.formats["h"].description == "mine"


def test_the_longer_match_wins(file_for: Any) -> None:
    entries = [
        entry(file_for("HP", "Ultrium 5-SCSI", size), Standing.QUALIFIED, str(size))
        for size in (14, 7)
    ]
    table = QualificationTable(entries)
    for product, size in (("Ultrium 5-SCSI", 14), ("Ultrium 9", 7)):
        configuration = table.judge("HP", product).configuration
        assert configuration is not None
        assert configuration.id_match_size == size


@pytest.mark.requirement("R023")
def test_a_drive_can_emulate_a_qualified_one(guide_file: str) -> None:
    emulation = EmulationSettings(
        vendor="ACME", product="TAPE 9000", as_vendor="HP", as_product="Ultrium 5-SCSI"
    )
    table = QualificationTable([entry(guide_file, Standing.QUALIFIED)], [emulation])
    judgement = table.judge("ACME    ", "TAPE 9000       ")
    assert judgement.standing is Standing.QUALIFIED
    assert judgement.emulates == "Hewlett-Packard LTO-5"
    assert judgement.configuration is not None
    assert table.judge("ACME", "TAPE 9001").standing is Standing.NONQUALIFIED


def test_what_cannot_be_emulated_is_told(guide_file: str, file_for: Any) -> None:
    def emulation(as_product: str) -> EmulationSettings:
        return EmulationSettings(vendor="A", product="B", as_vendor="HP", as_product=as_product)

    entries = [
        entry(guide_file, Standing.QUALIFIED),
        entry(file_for("HP", "Ultrium 6-SCSI", 9), Standing.QUALIFIED),
    ]
    with pytest.raises(TapekitError) as caught:
        QualificationTable(entries, [emulation("Ultrium 4-SCSI")])
    assert str(caught.value) == (
        "A B cannot emulate HP Ultrium 4-SCSI, which is no qualified drive"
    )
    with pytest.raises(TapekitError) as caught:
        QualificationTable(entries, [emulation("Ultrium 5-SCSI"), emulation("Ultrium 6-SCSI")])
    assert caught.value.id == "qualification.emulated-twice"
