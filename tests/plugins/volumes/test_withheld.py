from __future__ import annotations

from tapekit.kernel.memory_state import MemoryStateStore
from tapekit_volumes.withheld import INCONSISTENT, RESTRICTED, WithheldFiles


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
