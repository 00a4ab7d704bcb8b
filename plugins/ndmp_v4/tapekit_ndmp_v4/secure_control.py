"""Who switches secure control connections: at most one plugin of a stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from tapekit.errors import CORE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit_ndmp_v4.hookspecs import SecureControl

__all__ = ["the_one"]


def the_one(answers: Sequence[tuple[str, object]]) -> SecureControl | None:
    """What a plugin offers, if any does.

    :param answers: plugins and what they answered to
        ``tapekit_provide_secure_control``.
    :raises TapekitError: ``core.duplicate-provider``.
    """
    if len(answers) > 1:
        raise CORE.error(
            "duplicate-provider",
            kind="the switch of secure control connections",
            first=answers[0][0],
            second=answers[1][0],
        )
    return cast("SecureControl", answers[0][1]) if answers else None
