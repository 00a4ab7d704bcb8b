from __future__ import annotations

import pytest

from tapekit.kernel.memory_state import MemoryStateStore
from tapekit_volumes.withheld import BEING_RESTORED, INCONSISTENT, RESTRICTED, WithheldFiles


def test_files_are_withheld_until_they_are_released() -> None:
    withheld = WithheldFiles(MemoryStateStore())
    withheld.withhold("/vs1/vol1", b"lun", INCONSISTENT)
    withheld.withhold("/vs1/vol1", b"a/\xff\n", RESTRICTED)
    withheld.withhold("/vs1/vol10", b"other", RESTRICTED)
    assert withheld.of_volume("/vs1/vol1") == {b"lun": INCONSISTENT, b"a/\xff\n": RESTRICTED}
    assert withheld.release("/vs1/vol1", b"lun", INCONSISTENT)
    assert not withheld.release("/vs1/vol1", b"lun", INCONSISTENT)
    assert withheld.of_volume("/vs1/vol1") == {b"a/\xff\n": RESTRICTED}


def test_a_file_is_withheld_while_there_is_a_reason() -> None:
    withheld = WithheldFiles(MemoryStateStore())
    for reason in (INCONSISTENT, RESTRICTED, RESTRICTED):
        withheld.withhold("/vs1/vol1", b"lun", reason)
    assert withheld.of_volume("/vs1/vol1") == {b"lun": f"{RESTRICTED}, and {INCONSISTENT}"}
    assert withheld.release("/vs1/vol1", b"lun", INCONSISTENT)
    assert withheld.of_volume("/vs1/vol1") == {b"lun": RESTRICTED}
    assert withheld.release("/vs1/vol1", b"lun", RESTRICTED)
    assert withheld.of_volume("/vs1/vol1") == {}


@pytest.mark.requirement("R235")
def test_what_is_restored_is_withheld_until_the_restore_ends() -> None:
    state = MemoryStateStore()
    withheld, one, other = WithheldFiles(state), object(), object()
    withheld.hold_for(one, "/vs1/vol1", b"lun")
    withheld.hold_for(other, "/vs1/vol1", b"lun")
    withheld.hold_for(one, "/vs1/vol1", b"file")
    withheld.withhold("/vs1/vol1", b"file", RESTRICTED)
    assert withheld.of_volume("/vs1/vol1") == {b"lun": BEING_RESTORED, b"file": RESTRICTED}
    assert withheld.of_volume("/vs1/vol2") == {}
    assert WithheldFiles(state).of_volume("/vs1/vol1") == {b"file": RESTRICTED}
    withheld.let_go(one, "/vs1/vol1", b"file")
    withheld.end(one)
    assert withheld.of_volume("/vs1/vol1") == {b"lun": BEING_RESTORED, b"file": RESTRICTED}
    withheld.end(other)
    withheld.let_go(other, "/vs1/vol1", b"lun")
    assert withheld.of_volume("/vs1/vol1") == {b"file": RESTRICTED}
