"""A decision log on a disk that fills up: what is lost is counted and told, and what comes later is whole again."""

import errno
import io
from typing import BinaryIO, cast

import pytest

from webhook.admission.log import DecisionLog


class Disk:
    """A raw stream with room for so many bytes."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.content = b""

    def write(self, data: memoryview) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = bytes(data[: self.room])
        self.room -= len(taken)
        self.content += taken
        return len(taken)


class Pipe:
    """A pipe that nobody reads and that does not block."""

    def write(self, _data: memoryview) -> int | None:
        return None


def log_on(stream: object) -> tuple[DecisionLog, list[int]]:
    log, lost = DecisionLog(cast("BinaryIO", stream)), list[int]()
    log.on_lost = lost.append
    return log, lost


def write(log: DecisionLog, *lines: bytes) -> None:
    """Write lines together; without an event loop each would be written at once."""
    log._waiting += lines[:-1]
    log.write(lines[-1])


def test_what_is_written_arrives_and_nothing_is_said() -> None:
    stream = io.BytesIO()
    log, lost = log_on(stream)
    write(log, b"one\n", b"two\n")
    assert stream.getvalue() == b"one\ntwo\n"
    assert (log.lost, lost, log.notices()) == (0, [], [])


def test_a_full_disk_is_counted_and_told_once_until_it_is_freed(caplog: pytest.LogCaptureFixture) -> None:
    disk = Disk(0)
    log, lost = log_on(disk)
    write(log, b"one\n", b"two\n")
    write(log, b"three\n")
    assert lost == [2, 1]
    (notice,) = log.notices()
    assert notice.startswith("cannot be written ([Errno 28] No space left on device), 3 lines are lost; free the disk")
    assert [each.levelname for each in caplog.records] == ["ERROR"]
    assert "free the disk" in caplog.text
    disk.room = 100
    write(log, b"four\n")
    assert disk.content == b"four\n"
    assert log.notices() == []
    disk.room = 0
    write(log, b"five\n")
    assert [each.levelname for each in caplog.records] == ["ERROR", "ERROR"]
    assert log.lost == 4


@pytest.mark.parametrize(
    ("room", "lost", "content"),
    [
        pytest.param(6, 2, b"first\n", id="between two lines"),
        pytest.param(9, 2, b"first\nsec\n", id="in the middle of a line"),
        pytest.param(2, 3, b"fi\n", id="in the middle of the first"),
        pytest.param(15, 1, b"first\nsecond\nth\n", id="in the last"),
    ],
)
def test_a_torn_line_is_ended_before_the_next_one(room: int, lost: int, content: bytes) -> None:
    disk = Disk(room)
    log, counted = log_on(disk)
    write(log, b"first\n", b"second\n", b"third\n")
    assert (log.lost, counted) == (lost, [lost])
    write(log, b"nothing\n")
    disk.room = 100
    write(log, b"after\n")
    assert disk.content == content + b"after\n"
    assert log.lost == lost + 1


def test_a_line_that_tears_while_an_older_one_is_ended_counts_once() -> None:
    disk = Disk(2)
    log, counted = log_on(disk)
    write(log, b"first\n")
    disk.room = 4
    write(log, b"second\n")
    disk.room = 100
    write(log, b"third\n")
    assert disk.content == b"fi\nsec\nthird\n"
    assert counted == [1, 1]


def test_a_pipe_that_takes_nothing_holds_nobody_up() -> None:
    log, counted = log_on(Pipe())
    write(log, b"one\n")
    assert counted == [1]
    assert "nobody takes what is written" in log.notices()[0]


def test_a_closed_stream_is_no_fault_of_the_process() -> None:
    stream = io.BytesIO()
    log, counted = log_on(stream)
    stream.close()
    write(log, b"one\n")
    log.close()
    assert counted == [1]
