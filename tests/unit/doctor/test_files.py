"""Logs as lines: packed ones, broken ones, and lines without an end."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import pytest

from proxy.doctor import files
from proxy.doctor.events import Unread
from proxy.doctor.files import Lines, open_log


def lines_of(path: Path) -> tuple[list[str], int, Unread]:
    unread = Unread()
    with open_log(str(path)) as file:
        lines = Lines(file, "a.log", unread, lambda _: None)
        return list(lines), lines.count, unread


def test_plain_and_packed_logs_have_the_same_lines(tmp_path: Path) -> None:
    data = b"one\ntw\xffo\r\nthree"
    plain, packed = tmp_path / "a", tmp_path / "b"
    plain.write_bytes(data)
    packed.write_bytes(gzip.compress(data))
    for path in (plain, packed):
        lines, count, unread = lines_of(path)
        assert lines == ["one\n", "tw\udcffo\r\n", "three"]
        assert (count, unread.count) == (3, 0)


def test_a_packed_log_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    packed = tmp_path / "a.gz"
    packed.write_bytes(gzip.compress(b"".join(b"%d\n" % n for n in range(100_000)))[:-1000])
    lines, count, unread = lines_of(packed)
    assert lines[:2] == ["0\n", "1\n"]
    assert 0 < count < 100_000
    assert unread.count == 1


def test_the_rest_of_a_line_without_end_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "LONGEST", 1000)
    path = tmp_path / "a"
    path.write_bytes(b"one\n" + b"x" * 10_000_000 + b"\ntwo\n")
    tracemalloc.start()
    lines, count, unread = lines_of(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert lines == ["one\n", "two\n"]
    assert (count, unread.count, unread.first) == (3, 1, "a.log, line 2")
    assert peak < 1_000_000
