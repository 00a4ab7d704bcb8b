"""Settings of virtual tape agree with each other."""

from __future__ import annotations

import msgspec
import pytest

from tapekit_vtape.settings import VtapeSettings


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"drives": 0}, "drives"),
        ({"drives": 65}, "drives"),
        ({"slots": 0}, "slots"),
        ({"capacity_bytes": 1000}, "capacity_bytes"),
        ({"capacity_bytes": 1 << 20, "early_warning_bytes": 1 << 20}, "must be less than"),
        ({"durability": "sometimes"}, "durability"),
        ({"folder": "x"}, "unknown field"),
    ],
)
def test_what_cannot_work_is_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=words):
        msgspec.convert(values, VtapeSettings)


def test_data_is_durable_by_default() -> None:
    assert VtapeSettings().durability == "filemark"
