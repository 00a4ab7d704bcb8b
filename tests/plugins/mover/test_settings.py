"""Settings of the mover agree with each other and with the protocol."""

from __future__ import annotations

import msgspec
import pytest

from tapekit.segments import BUFFER_BYTES
from tapekit_mover.settings import MoverSettings


def test_the_defaults_are_those_of_other_servers() -> None:
    settings = MoverSettings()
    assert (settings.record_bytes, settings.largest_record_bytes) == (10240, 262144)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"record_bytes": 0}, "record_bytes"),
        ({"largest_record_bytes": BUFFER_BYTES + 1}, "largest_record_bytes"),
        ({"record_bytes": 65536, "largest_record_bytes": 10240}, "must not be more than"),
        ({"records": 1}, "unknown field"),
    ],
)
def test_what_cannot_work_is_refused(values: dict[str, int], words: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=words):
        msgspec.convert(values, MoverSettings)
