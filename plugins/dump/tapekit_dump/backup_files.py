"""Phase IV: everything that is not a directory, in the order of the plan.

Small files are read straight into the ring buffer behind their header, in
one loop without a detour; long runs of data leave as extents that nobody
reads here. What the tree no longer has in the form in which the first pass
saw it becomes an empty file with a warning. The one rule: every number of the
plan gets its header, and a header's promise of records is always kept.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Final, final

from tapekit.segments import BUFFER_BYTES
from tapekit_dump.backup_report import readable
from tapekit_dump.contents import data_runs, spans
from tapekit_dump.descent import Descent
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.headers import RECORD_BYTES, RUNS, Inode
from tapekit_dump.plan import StepKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tapekit.streams import StreamWriter
    from tapekit_dump.backup_attributes import AttributeReader
    from tapekit_dump.backup_history import HistoryBatches
    from tapekit_dump.backup_report import BackupReport
    from tapekit_dump.headers import HeaderPacker, HeaderTemplate
    from tapekit_dump.plan import Plan

__all__ = ["FileWriter"]

_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_ZEROS: Final = tuple(bytes(count) for count in range(RECORD_BYTES))
_SMALL: Final = 256 * 1024
