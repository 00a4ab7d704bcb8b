"""What keeps a stack from starting, all of it at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tapekit.errors import TapekitError

__all__ = ["StartErrors"]


@final
class StartErrors(Exception):
    """A stack was refused; ``errors`` tells every reason."""

    def __init__(self, errors: Iterable[TapekitError]) -> None:
        self.errors: Final = tuple(errors)
        super().__init__(*self.errors)

    def __str__(self) -> str:
        return "\n".join(map(str, self.errors))
