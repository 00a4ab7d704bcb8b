"""A drive is of a model if its vendor is, and its product as far as compared."""

from __future__ import annotations

import pytest

from tapekit_qualification.parsing import read_configuration


@pytest.mark.requirement("R045")
@pytest.mark.requirement("R046")
@pytest.mark.requirement("R053")
@pytest.mark.parametrize(
    ("vendor", "product", "is_of_it"),
    [
        ("HP", "Ultrium 5-SCSI", True),
        ("HP      ", "Ultrium 5-SCSI  ", True),
        ("HP", "Ultrium 5", True),
        ("HP", "Ultrium 5 of another kind", True),
        ("HP", "Ultrium 6-SCSI", False),
        ("HP", "Ultrium", False),
        ("HPE", "Ultrium 5-SCSI", False),
        ("hp", "Ultrium 5-SCSI", False),
    ],
)
def test_the_vendor_and_the_beginning_of_the_product_decide(
    guide_file: str, vendor: str, product: str, is_of_it: bool
) -> None:
    configuration = read_configuration(guide_file, "x").configuration
    assert configuration is not None
    assert configuration.matches(vendor, product) is is_of_it


def test_a_size_beyond_the_product_compares_the_blanks_too(guide_file: str) -> None:
    whole = guide_file.replace("id_match_size=9", "id_match_size=16")
    configuration = read_configuration(whole, "x").configuration
    assert configuration is not None
    assert configuration.matches("HP", "Ultrium 5-SCSI")
    assert not configuration.matches("HP", "Ultrium 5-SCSI2")
