"""What was written, and is not known to be on the tape yet.

A drive takes records into its memory and says later what became of them: in
sense data of another command, or never, if it was reset meanwhile. This keeps
what is still to be told of them, and to whom it has been told. The one rule:
whoever wrote hears of a loss once, by an error of some call, before the drive
is used as if all were well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit.errors import CORE
from tapekit.hookspecs.tape_driver import Condition, TapeError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["END_WARNINGS", "UnsureData"]

_NEVER: Final = -1
"""As many unit attentions as no drive has had: the writer is told that what
was written is not known to be on the tape."""

END_WARNINGS: Final = frozenset({Condition.EARLY_WARNING, Condition.END_OF_MEDIUM})
"""What only the next write is about: no record that was taken is in doubt."""


@final
class UnsureData:
    """What a drive has taken since it last said that all is on the tape."""

    def __init__(self, device: str, attentions: Callable[[], int]) -> None:
        """:param device: the drive's physical path name, for messages.
        :param attentions: how many unit attentions have come until now.
        """
        self._device: Final = device
        self._attentions: Final = attentions
        self._known: int | None = 0
        """Attentions before anything was written that may not be durable yet;
        ``None`` once whoever writes knows that it may never be."""
        self._due: TapeError | None = None
        self.is_there = False
        """Whether anything was written since all was durable."""
        self.has_warned = False
        """Whether the writer has heard of the end of the tape."""

    @property
    def has_news(self) -> bool:
        """Whether what was written is in doubt already."""
        return self._known != self._attentions()

    @property
    def is_told(self) -> bool:
        """Whether the writer knows that what was written may be lost."""
        return self._known is None

    def begin(self) -> None:
        """Something is about to be written, after all before it was durable."""
        self.is_there = True
        self._known = self._attentions()

    def forget_warning(self) -> None:
        """The tape goes elsewhere, where the next write may find room."""
        self.has_warned = False
        if self._due is not None and self._due.condition in END_WARNINGS:
            self._due = None

    def forget(self) -> None:
        """What was written has ended here; its writer knows how."""
        self._due = None
        self.has_warned = self.is_there = False

    def tell(self) -> None:
        """The writer hears of a loss by an error that is being raised."""
        self._known = None

    def doubt(self) -> None:
        """Something may be missing, and nobody has been told yet."""
        self._known = _NEVER

    def mark(self) -> int | None:
        """What :meth:`excuse` and :meth:`postpone` go back to."""
        return self._known

    def excuse(self, mark: int | None, before: int) -> None:
        """An attention was harmless: all that had been taken is still there.

        :param mark: from before the command that heard it.
        :param before: the attentions before that command.
        """
        self._known = self._attentions() if mark == before else mark

    def postpone(self, error: TapeError, mark: int | None) -> None:
        """The next call is to raise this, since records before it were taken;
        until then nobody has been told.
        """
        self._due, self._known = error, mark

    def raise_due(self, *, is_loss: bool, but: frozenset[Condition] = frozenset()) -> None:
        """Tell what is to be told by the call after a write.

        :param is_loss: whether the writer learns by it that nothing is sure.
        :param but: conditions that wait for the next write.
        :raises TapeError: if there is anything.
        """
        due = self._due
        if due is None or due.condition in but:
            return
        self._due = None
        self.has_warned = self.has_warned or due.condition in END_WARNINGS
        if is_loss:
            self.tell()
        raise due

    def settle(self) -> None:
        """The drive says that all is on the tape.

        :raises TapeError: ``HARDWARE_ERROR``, it had news since something was
            written, and may have forgotten it; or what is still due, but for
            warnings of the end. Told once.
        """
        was_there, self.is_there = self.is_there, False
        known, self._known = self._known, self._attentions()
        if was_there and known is not None and known != self._known:
            self._due = None
            raise CORE.raised_as(
                TapeError,
                "tape-not-durable",
                condition=Condition.HARDWARE_ERROR,
                device=self._device,
            )
        self.raise_due(is_loss=False, but=END_WARNINGS)
