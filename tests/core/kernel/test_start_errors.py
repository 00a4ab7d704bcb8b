from __future__ import annotations

from tapekit.errors import CORE
from tapekit.kernel.start_errors import StartErrors


def test_every_reason_is_kept_and_told() -> None:
    errors = [CORE.error("site-exists", file=name) for name in ("a", "b")]
    refused = StartErrors(iter(errors))
    assert refused.errors == tuple(errors)
    assert str(refused) == (
        "a exists and will not be overwritten\nb exists and will not be overwritten"
    )
