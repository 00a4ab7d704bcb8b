"""Images that lie, and restores that are killed: nothing leads out of the
volume, only declared errors escape, and what was cut can be repeated.
"""

from __future__ import annotations

import os
import random
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.plugins.smtape.image_maker import Copy, capture, image_of, make_image
from tests.plugins.smtape.restore_site import RestoreSite

from tapekit.errors import TapekitError
from tapekit_smtape.format_header import CopyRow, ImageHeader, encode_header
from tapekit_smtape.format_records import (
    Attribute,
    CopyBegin,
    CopyEnd,
    Data,
    Entry,
    Gone,
    Hole,
    Object,
    Share,
    pack_record,
)
from tapekit_trees.comparing import compare_trees
from tapekit_trees.editing import edit_tree
from tapekit_trees.making import random_tree

if TYPE_CHECKING:
    from tapekit_smtape.format_records import Record

ROOT = 2
HEADER = ImageHeader(
    volume="/vs1/vol1",
    base=None,
    copies=(CopyRow(name="one", identifier="id-one", created_at_s=1),),
    root=ROOT,
)
TOP = Object(True, ROOT, stat.S_IFDIR | 0o755, 0, 0, 0, 0, 0, 0, 0, b"", b"")

_NUMBERS = st.sampled_from([0, 1, ROOT, 10, 11, 12, 2**63, 2**64 - 1])
_NAMES = st.sampled_from([b"a", b"b", b"outside", b".tapekit-smtape-", b"\xff"])
_MODES = st.sampled_from(
    [stat.S_IFREG | 0o600, stat.S_IFDIR | 0o700, stat.S_IFLNK | 0o777, stat.S_IFIFO | 0o600]
)
_SIZES = st.sampled_from([0, 1, 4096, 100_000])
_OBJECTS = st.builds(
    Object,
    st.booleans(),
    _NUMBERS,
    _MODES,
    st.sampled_from([0, 1000]),
    st.sampled_from([0, 1000]),
    st.just(0),
    _SIZES,
    st.just(0),
    st.just(0),
    _NUMBERS,
    _NAMES,
    st.sampled_from([b"../outside", b"/tmp", b"."]),
)
_RECORDS = st.one_of(
    _OBJECTS,
    _OBJECTS,
    _OBJECTS,
    st.builds(Gone, _NUMBERS, _NAMES),
    st.builds(Entry, _NUMBERS, _NUMBERS, _NAMES),
    st.builds(Attribute, st.sampled_from([b"user.a", b"bad", b"security.b"]), st.just(b"value")),
    st.builds(Data, _SIZES, st.just(memoryview(b"x" * 5000))),
    st.builds(Share, _SIZES, _NUMBERS, _SIZES, _SIZES),
    st.builds(Hole, _SIZES, _SIZES),
    st.builds(CopyEnd, st.integers(0, 3)),
    st.builds(CopyBegin, st.integers(0, 2)),
)


def test_records_that_lie_stay_in_the_volume(tmp_path: Path) -> None:
    site = RestoreSite(tmp_path)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"not the volume's")
    before = outside.stat(), (outside / "file").stat()

    @settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
    @given(st.lists(_RECORDS, max_size=14))
    def lie(records: list[Record]) -> None:
        said = [
            CopyBegin(0),
            TOP,
            *records,
            CopyEnd(1 + sum(isinstance(r, Object) for r in records)),
        ]
        image = image_of(encode_header(HEADER), [pack_record(record) for record in said])
        try:
            site.restore(image)
        except TapekitError as error:
            if str(error).startswith("Internal assertion"):
                raise
            assert site.state() == ("restricted", "dp", False)
        assert (outside.stat(), (outside / "file").stat()) == before

    lie()


def test_damage_is_found_before_anything_is_made_of_it(tmp_path: Path) -> None:
    live = tmp_path / "live"
    random_tree(live, 3, objects=12)
    image = make_image(None, [Copy("one", capture(live))], payload=3000)
    site = RestoreSite(tmp_path)
    chance = random.Random(1)
    for _ in range(12):
        damaged = bytearray(image)
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        with pytest.raises(TapekitError) as told:
            site.restore(bytes(damaged))
        assert "Internal assertion" not in str(told.value)
        assert site.state()[0] == "restricted"
    site.restore(image)
    assert compare_trees(live, site.back, mtime_granularity_ns=1) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.plugins.smtape.restore_site import RestoreSite
from tapekit.hookspecs.volume_images import VolumeState
site = RestoreSite(Path(sys.argv[1]))
image = Path(sys.argv[2]).read_bytes()
calls = int(sys.argv[3])
def count(frame, event, argument):
    global calls
    if event == "c_call" and getattr(argument, "__module__", None) == "posix":
        calls -= 1
        if calls < 0:
            os.kill(os.getpid(), signal.SIGKILL)
site.set_state(VolumeState.RESTRICTED)
sys.setprofile(count)
site.restore_restricted(image)
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_restore_that_was_killed_can_be_repeated(tmp_path: Path, seed: int) -> None:
    live = tmp_path / "live"
    random_tree(live, seed, objects=12)
    base = Copy("base", capture(live))
    copies = []
    for number in range(2):
        edit_tree(live, 10 * seed + number, edits=15)
        copies.append(Copy(f"copy{number}", capture(live)))
    baseline, increment = make_image(None, [base]), make_image(base, copies, payload=3000)
    file = tmp_path / "image"
    file.write_bytes(increment)
    chance = random.Random(seed)
    RestoreSite(tmp_path).restore(baseline)
    for _ in range(3):
        status = _restore_and_die(tmp_path, file, chance.randrange(500))
        assert status in {0, -signal.SIGKILL}
    site = RestoreSite(tmp_path)
    assert site.state()[2] or site.state()[0] == "restricted"
    if site.copies()[-1] != "copy1" or not site.state()[2]:
        site.restore(increment)
    assert site.copies() == ["base", "copy0", "copy1"]
    assert compare_trees(live, site.back, mtime_granularity_ns=1) == []


def _restore_and_die(folder: Path, image: Path, calls: int) -> int:
    command = [sys.executable, "-c", KILLED, str(folder), str(image), str(calls)]
    paths = os.pathsep.join([str(Path(__file__).parents[3]), *sys.path])
    return subprocess.run(command, check=False, env={"PYTHONPATH": paths}).returncode
