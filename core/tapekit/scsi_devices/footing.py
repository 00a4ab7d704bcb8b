"""Whether a tape stands where whoever uses its drive believes it.

A unit attention may mean that the drive was reset, or has another tape: then
nothing that depends on the place is sent, until the tape is where it is known
to be. Questions hear such news as well as commands that move the tape, so news
are counted. The one rule: only news of which somebody has made sure that the
tape has stayed, or that nobody relies on its place any more, are forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit.errors import CORE
from tapekit.hookspecs.tape_driver import Condition, TapeError

if TYPE_CHECKING:
    from tapekit.scsi_devices.conversation import Conversation

__all__ = ["Footing"]


@final
class Footing:
    """What is known of one drive's news about the place of its tape."""

    def __init__(self, talk: Conversation, device: str) -> None:
        """:param talk: counts the unit attentions.
        :param device: the drive's physical path name, for messages.
        """
        self._talk: Final = talk
        self._device: Final = device
        self.is_displaced = False
        """Whether the tape may stand elsewhere than whoever uses it believes."""
        self.placed = 0
        """The attentions after which the place of the tape has been made sure of."""
        self._prepared = 0

    @property
    def has_news(self) -> bool:
        """Whether the drive has news since the place was made sure of."""
        return self._talk.attentions != self.placed

    @property
    def is_prepared(self) -> bool:
        """Whether the drive is set up as it was after its last news."""
        return self._talk.attentions == self._prepared

    @property
    def has_lost_path_alone(self) -> bool:
        """Whether the news are of a path that was lost, and of nothing else."""
        return self._talk.has_lost_path_alone(self.placed)

    def displace(self) -> None:
        """The tape may be anywhere."""
        self.is_displaced = True

    def prepare(self) -> None:
        """The drive is being set up after all its news, wherever the tape is."""
        self._prepared = self.placed = self._talk.attentions

    def leave(self) -> None:
        """Nobody relies on where the tape has been until now."""
        self.is_displaced = False
        self.placed = self._talk.attentions

    def trust(self) -> None:
        """The tape stands where it is believed, and the drive is set up anew."""
        self.leave()
        self.prepare()

    def refusal(self, command: str) -> TapeError:
        """The error of a command that is not sent, since the tape may be anywhere."""
        return CORE.raised_as(
            TapeError,
            "tape-displaced",
            condition=Condition.HARDWARE_ERROR,
            device=self._device,
            command=command,
        )

    def strayed(self, command: str) -> TapeError:
        """The error of a command after which the tape stands elsewhere."""
        return CORE.raised_as(
            TapeError,
            "tape-strayed",
            condition=Condition.HARDWARE_ERROR,
            device=self._device,
            command=command,
        )
