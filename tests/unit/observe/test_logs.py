"""What a log line looks like, and what it never holds."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from proxy.observe.logs import Logger, configure, connection_ended, reopen
from proxy.observe.redaction import MASK, SHORTEST, Redactor
from proxy.settings import Log, LogFormat, LogLevel

VERIFIER = "SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy"
MD5 = "md5" + "0123456789abcdef" * 2

Lines = Callable[[], list[str]]


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:]
    yield
    for handler in root.handlers[:]:
        if handler not in before:
            root.removeHandler(handler)
            handler.close()
    logging.getLogger("tidegate").setLevel(logging.NOTSET)


@pytest.fixture
def lines(tmp_path: Path) -> Lines:
    return lambda: (tmp_path / "log").read_text().splitlines()


@pytest.fixture
def begin(tmp_path: Path) -> Callable[..., Logger]:
    """Configure logging to a file; returns a logger."""

    def begin(
        form: LogFormat = LogFormat.TEXT,
        *,
        level: LogLevel = LogLevel.INFO,
        secrets: tuple[str, ...] = (),
    ) -> Logger:
        log = Log(format=form, level=level, destination=str(tmp_path / "log"))
        configure(log, secrets)
        return Logger("test")

    return begin


def test_text_line_has_event_and_fields(begin: Callable[..., Logger], lines: Lines) -> None:
    begin().warning("server banned", server="db:5432", seconds=5.0, why="no answer", up=False)
    (line,) = lines()
    time, _, rest = line.partition(" ")
    assert time.endswith("Z")
    assert rest == (
        'WARNING server banned logger=test server=db:5432 seconds=5.0 why="no answer" up=false'
    )


def test_json_line_has_event_and_fields(begin: Callable[..., Logger], lines: Lines) -> None:
    begin(LogFormat.JSON).info("server unbanned", server="db:5432", seconds=5, note=None)
    (line,) = lines()
    told = json.loads(line)
    assert told.pop("time").endswith("Z")
    assert told == {
        "level": "info",
        "event": "server unbanned",
        "logger": "test",
        "server": "db:5432",
        "seconds": 5,
    }


def test_connection_leaves_one_line_with_its_reason(
    begin: Callable[..., Logger], lines: Lines
) -> None:
    connection_ended(
        begin(),
        reason="client closed",
        seconds=1.23456,
        group="app",
        client="10.0.0.9:5000",
        user="joe",
        database=None,
        statements=7,
    )
    (line,) = lines()
    assert line.endswith(
        "connection ended logger=test group=app client=10.0.0.9:5000 user=joe"
        ' reason="client closed" seconds=1.235 statements=7'
    )


def test_debug_lines_are_written_only_when_asked_for(
    begin: Callable[..., Logger], lines: Lines
) -> None:
    log = begin()
    log.debug("unseen")
    assert not log.debugs
    begin(level=LogLevel.DEBUG)
    log.debug("seen")
    assert log.debugs
    assert [line.split()[2] for line in lines()] == ["seen"]


@pytest.mark.parametrize("form", LogFormat)
def test_peer_cannot_begin_a_line_of_its_own(
    begin: Callable[..., Logger], lines: Lines, form: LogFormat
) -> None:
    begin(form).info("connection ended\r\nforged", user="joe\nERROR forged\r")
    assert len(lines()) == 1


def test_libraries_come_out_alike(begin: Callable[..., Logger], lines: Lines) -> None:
    begin()
    logging.getLogger("asyncio").warning("slow callback: %s", "x")
    (line,) = lines()
    assert line.endswith("WARNING slow callback: x logger=asyncio")


def test_configuring_again_does_not_write_twice(begin: Callable[..., Logger], lines: Lines) -> None:
    begin()
    begin().info("once")
    assert len(lines()) == 1


def test_a_file_that_was_moved_away_is_there_again_once_it_is_reopened(
    begin: Callable[..., Logger], tmp_path: Path
) -> None:
    begin().info("before")
    (tmp_path / "log").rename(tmp_path / "log.1")
    reopen()
    assert (tmp_path / "log").read_text() == ""
    assert "before" in (tmp_path / "log.1").read_text()


def test_a_folder_that_is_gone_stops_nobody(
    begin: Callable[..., Logger], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = begin()
    (tmp_path / "log").rename(tmp_path / "log.1")
    tmp_path.rename(tmp_path.with_suffix(".gone"))
    reopen()
    log.info("unheard")
    assert "INFO    unheard" in capsys.readouterr().err
    tmp_path.with_suffix(".gone").rename(tmp_path)
    log.info("after")
    assert "after" in (tmp_path / "log").read_text()


def test_bug_is_written_with_its_traceback(begin: Callable[..., Logger], lines: Lines) -> None:
    try:
        raise KeyError("hunter2")
    except KeyError as error:
        begin(secrets=("hunter2",)).exception("bug", error, id="4711")
    text = "\n".join(lines())
    assert "Traceback" in text
    assert "KeyError" in text
    assert "hunter2" not in text


@pytest.mark.parametrize("form", LogFormat)
@pytest.mark.parametrize(
    "text",
    [
        f"got {VERIFIER} from the server",
        f"stored {MD5}",
        "postgresql://joe:s3cret@db/app failed",
        "host=db password=s3cret user=joe",
        "host=db password='s3 cret' user=joe",
        "ALTER ROLE joe PASSWORD 's3cret'",
    ],
)
def test_what_looks_like_a_secret_is_masked(
    begin: Callable[..., Logger], lines: Lines, form: LogFormat, text: str
) -> None:
    begin(form).info(text, detail=text)
    (line,) = lines()
    assert line.count(MASK) == 2
    for secret in ("s3cret", "s3 cret", "c2Vy", MD5):
        assert secret not in line


def test_field_with_a_telling_name_is_masked(begin: Callable[..., Logger], lines: Lines) -> None:
    begin().info("login", password="x", verifier="y")
    assert lines()[0].endswith("password=*** verifier=***")


@given(
    secret=st.text(st.characters(exclude_categories=["Cs"]), min_size=SHORTEST, max_size=20),
    before=st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_known_secret_never_comes_out_whatever_it_is(secret: str, before: str) -> None:
    assume("*" not in secret)  # or the mask itself may be a part of it
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    log = Log(format=LogFormat.JSON)
    configure(log, [secret])
    (ours,) = [it for it in logging.getLogger().handlers if type(it).__module__.startswith("proxy")]
    handler.setFormatter(ours.formatter)
    record = logging.LogRecord("t", logging.INFO, "", 0, before + secret, None, None)
    record.__dict__["fields"] = {"detail": f"{before}{secret}{before}"}
    told = json.loads(handler.format(record))
    assert secret not in told["event"]
    assert secret not in told["detail"]


def test_longer_secret_is_masked_whole_when_another_is_its_beginning() -> None:
    assert Redactor(["hunter", "hunter22"]).clean("x hunter22 y hunter z") == "x *** y *** z"


def test_numbers_and_ordinary_words_are_left_alone() -> None:
    redactor = Redactor(["hunter2"])
    assert redactor.clean_field("seconds", 1.5) == 1.5
    assert redactor.clean("SELECT a FROM b WHERE md5 = 'x'") == "SELECT a FROM b WHERE md5 = 'x'"
