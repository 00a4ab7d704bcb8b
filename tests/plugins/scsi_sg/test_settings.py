"""Names in settings can be read back from a physical path."""

from __future__ import annotations

import pytest

from tapekit_scsi_sg.settings import ScsiSgSettings


def test_names_of_adapters_and_switches_are_taken() -> None:
    made = ScsiSgSettings(
        adapters={"0000:03:00.0": "5c"}, switches={"100000051e0a1b2c/2": "MY_SWITCH"}
    )
    assert made.needs_lun_0
    assert made.adapters["0000:03:00.0"] == "5c"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"adapters": {"3:0.0": "5c"}}, "adapters: 3:0.0 is not of the form 0000:03:00.0"),
        ({"switches": {"2": "S"}}, "switches: 2 is not of the form 100000051e0a1b2c/2"),
        ({"adapters": {"0000:03:00.0": "5.c"}}, "the name 5.c has other characters"),
        (
            {"adapters": {"0000:03:00.0": "5c", "0000:04:00.0": "5c"}},
            "adapters: two have the same name",
        ),
    ],
)
def test_names_that_could_not_be_read_back_are_refused(
    settings: dict[str, dict[str, str]], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        ScsiSgSettings(**settings)  # type: ignore[arg-type] # as given
