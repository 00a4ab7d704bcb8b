"""Jobs of volumes: who is let in, kept out, aborted and waited for."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from tapekit.errors import CORE, TapekitError
from tapekit.hookspecs.movements import Abort, JobKind, JobsInTheWay, volume_of
from tapekit.kernel.volume_jobs import JobRegistry

if TYPE_CHECKING:
    from tapekit.hookspecs.movements import Stay, VolumeJob

VOL1, VOL2 = "/vs1/vol1", "/vs1/vol2"
FOREVER = 60


def error() -> TapekitError:
    return CORE.error("no-management", file="stack.toml", operation="a")


def backup(jobs: JobRegistry, *volumes: str, holder: str = "session 1") -> Stay:
    return jobs.enter(volumes=volumes or (VOL1,), engine="dump", kind=JobKind.BACKUP, holder=holder)


def nothing() -> None:
    """What breaks off a job without a connection."""


@pytest.fixture
def jobs() -> JobRegistry:
    return JobRegistry(lambda: 1000.0)


def test_a_job_is_known_from_its_coming_to_its_leaving(jobs: JobRegistry) -> None:
    stay = backup(jobs, VOL1, VOL2, VOL1)
    assert jobs.running() == jobs.running(VOL2) == [stay.job]
    assert stay.job.volumes == (VOL1, VOL2)
    assert str(stay.job) == f"session 1, dump backup of {VOL1}, {VOL2}"
    assert jobs.running("/vs1/other") == []
    stay.leave()
    stay.leave()
    assert jobs.running() == []


def test_jobs_come_in_order_and_have_numbers_of_their_own(jobs: JobRegistry) -> None:
    first, second = backup(jobs), backup(jobs)
    first.leave()
    third = backup(jobs)
    assert jobs.running() == [second.job, third.job]
    assert len({each.job.number for each in (first, second, third)}) == 3


def test_the_end_of_the_work_is_the_end_of_the_stay(jobs: JobRegistry) -> None:
    stay = backup(jobs)

    def work() -> None:
        with stay.at_work(nothing):
            assert jobs.running() == [stay.job]
            raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        work()
    assert jobs.running() == []


def test_a_shut_door_keeps_out_whom_it_refuses_until_it_is_opened(jobs: JobRegistry) -> None:
    def refuse(job: VolumeJob) -> TapekitError | None:
        return error() if VOL1 in job.volumes else None

    door = jobs.shut(refuse)
    backup(jobs, VOL2)
    with pytest.raises(TapekitError):
        backup(jobs, VOL1)
    assert [job.volumes for job in jobs.running()] == [(VOL2,)]
    door.open()
    door.open()
    backup(jobs, VOL1)
    assert len(jobs.running()) == 2


def test_a_door_stays_open_because_of_jobs_that_are_in_the_way(jobs: JobRegistry) -> None:
    stay, _ = backup(jobs, VOL1), backup(jobs, VOL2)
    with pytest.raises(JobsInTheWay) as caught:
        jobs.shut(lambda job: error(), lambda job: VOL1 in job.volumes)
    assert caught.value.jobs == (stay.job,)
    assert str(stay.job) in str(caught.value)
    backup(jobs, VOL1)


def test_an_aborted_job_is_broken_off_and_knows_why(jobs: JobRegistry) -> None:
    stay, other = backup(jobs, VOL1), backup(jobs, VOL2)
    broken: list[str] = []
    reason = error()
    with stay.at_work(lambda: broken.append("one")), other.at_work(lambda: broken.append("two")):
        told = jobs.abort(lambda job: Abort(reason, False) if VOL1 in job.volumes else None)
        assert told == [stay.job]
        assert stay.aborted == Abort(reason, may_restart=False)
        assert other.aborted is None
    assert broken == ["one"]


def test_the_first_reason_of_an_abort_stays(jobs: JobRegistry) -> None:
    stay, first, second = backup(jobs), error(), error()
    jobs.abort(lambda job: Abort(first))
    assert jobs.abort(lambda job: Abort(second)) == [stay.job]
    assert stay.aborted is not None
    assert stay.aborted.error is first


def test_a_job_that_was_aborted_before_its_work_does_not_begin(jobs: JobRegistry) -> None:
    stay, reason = backup(jobs), error()
    jobs.abort(lambda job: Abort(reason))
    with pytest.raises(TapekitError) as caught, stay.at_work(nothing):
        pytest.fail("the job has begun")
    assert caught.value is reason
    assert jobs.running() == []


def test_a_job_that_is_complete_is_waited_for_and_not_aborted(jobs: JobRegistry) -> None:
    stay, broken = backup(jobs), list[str]()
    with stay.at_work(lambda: broken.append("one")):
        stay.completes()
        (told,) = jobs.abort(lambda job: Abort(error()))
        assert told.is_complete
        assert stay.aborted is None
        assert jobs.await_left([told], 0) == [told]
    assert broken == []
    assert jobs.await_left([told], 0) == []


def test_a_job_that_was_aborted_does_not_complete(jobs: JobRegistry) -> None:
    stay, reason = backup(jobs), error()
    jobs.abort(lambda job: Abort(reason))
    with pytest.raises(TapekitError) as caught:
        stay.completes()
    assert caught.value is reason
    assert not stay.job.is_complete


def test_a_job_that_cannot_be_broken_off_keeps_no_other_from_it(jobs: JobRegistry) -> None:
    broken: list[str] = []

    def fail() -> None:
        raise OSError("socket")

    with (
        backup(jobs).at_work(lambda: broken.append("one")),
        backup(jobs).at_work(fail),
        backup(jobs).at_work(lambda: broken.append("three")),
        pytest.raises(OSError, match="socket"),
    ):
        jobs.abort(lambda job: Abort(error()))
    assert broken == ["one", "three"]


def test_a_job_whose_kind_becomes_known_is_judged_again(jobs: JobRegistry) -> None:
    def refuse(job: VolumeJob) -> TapekitError | None:
        is_baseline = job.kind is JobKind.BASELINE_RESTORE
        return error() if is_baseline and job.was_let_in else None

    stays = [
        jobs.enter(volumes=(VOL1,), engine="smtape", kind=JobKind.IMAGE_RESTORE, holder=name)
        for name in ("one", "two")
    ]
    jobs.shut(refuse)
    stays[0].becomes(JobKind.INCREMENTAL_RESTORE)
    with pytest.raises(TapekitError):
        stays[1].becomes(JobKind.BASELINE_RESTORE)
    kinds = [job.kind for job in jobs.running()]
    assert kinds == [JobKind.INCREMENTAL_RESTORE, JobKind.IMAGE_RESTORE]


def test_an_aborted_job_does_not_become_anything(jobs: JobRegistry) -> None:
    stay, reason = backup(jobs), error()
    jobs.abort(lambda job: Abort(reason))
    with pytest.raises(TapekitError) as caught:
        stay.becomes(JobKind.BASELINE_RESTORE)
    assert caught.value is reason


def test_waiting_ends_when_the_jobs_have_left(jobs: JobRegistry) -> None:
    stays = [backup(jobs), backup(jobs)]
    waited_for = [stay.job for stay in stays]
    backup(jobs, VOL2)

    def leave() -> None:
        for stay in stays:
            stay.leave()

    left = threading.Thread(target=leave)
    left.start()
    assert jobs.await_left(waited_for, FOREVER) == []
    left.join()


def test_waiting_tells_who_is_there_when_the_time_is_over(jobs: JobRegistry) -> None:
    first, second = backup(jobs), backup(jobs)
    first.leave()
    assert jobs.await_left([first.job, second.job], 0) == [second.job]


@pytest.mark.parametrize(
    "path",
    [
        "/vs1/vol1",
        "/vs1/vol1/",
        "/vs1/vol1/a/b",
        "/vs1/vol1/.snapshot/x",
        "//vs1//vol1",
        "/./vs1/./vol1/a",
    ],
)
def test_paths_belong_to_volumes(path: str) -> None:
    assert volume_of(path) == VOL1
