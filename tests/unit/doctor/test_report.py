"""What is said of findings, to people, machines and `tidegate check`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from proxy.doctor.events import Ran, Unread
from proxy.doctor.postgres.asker import PostgresAsker
from proxy.doctor.report import Origin, as_data, as_lines
from proxy.doctor.show import show_report
from proxy.doctor.starting_config import text_of, write
from proxy.errors import Unanswerable
from proxy.settings.load import parse
from tests.unit.doctor.test_model import READ, Log

ASKER = PostgresAsker()
ORIGIN = Origin("a.log", 12, Unread(1, "a.log, line 3"), ASKER.logged)


def report(log: Log) -> str:
    return "\n".join(line.text for line in as_lines(log.found, ORIGIN))


def test_what_matters_most_comes_first() -> None:
    log = Log().say(READ, READ, READ, "SELECT a FROM orders WHERE b = 'hunter2' FOR UPDATE")
    text = report(log)
    lines = text.splitlines()
    assert lines[0] == "a.log: 12 lines, 4 statements of 1 session"
    assert lines[2] == "75.0 % of reads can leave the primary (3 of 4)"
    assert lines[3].split("%")[0].strip() == "50.0"
    assert "   25.0 %  it locks rows  (1)" in lines
    assert "1 line could not be read (the first: a.log, line 3)" in text
    assert "hunter2" not in text
    assert text.index("it locks rows") < text.index("Busiest tables") < text.index("leave out")


def test_causes_of_one_reason_stand_together() -> None:
    log = Log().say("SELECT touch(a) FROM orders", "SELECT nope(a) FROM orders", READ)
    (line,) = [line for line in report(log).splitlines() if "% " in line and "function" in line]
    assert "touch 1" in line
    assert "nope 1" in line
    assert report(log).count("declare it STABLE") == 2  # for reads, and for commits


def test_a_log_of_slow_statements_says_so() -> None:
    log = Log()
    for _ in range(60):
        log.model.take(Ran("s", "app", "shop", READ, seconds=0.25))
    assert "every statement took 250 ms or more" in report(log)
    log.model.take(Ran("s", "app", "shop", READ, seconds=0.0001))
    assert "ms or more" not in report(log)


def test_there_may_be_no_reads() -> None:
    assert "There are no reads in it: log_statement" in report(Log().say("UPDATE orders SET a = 1"))


def test_totals_say_nothing_of_the_cache() -> None:
    log = Log()
    log.model.take_total(READ, "app", "shop", calls=10, seconds=5.0)
    text = report(log)
    assert "100.0 % of reads can leave" in text
    assert "answered from the cache" not in text
    assert as_data(log.found, ORIGIN)["cache_hits"] is None


def test_for_machines_it_is_all_there() -> None:
    log = Log().say(READ, READ, "SELECT touch(1)", "INSERT INTO watched VALUES (1)")
    data = json.loads(json.dumps(as_data(log.found, ORIGIN)))
    assert (data["reads"], data["reads_that_may_leave"], data["cache_hits"]) == (3, 2, 1)
    assert data["blocked"][0] == {
        "reason": "function",
        "detail": "touch",
        "calls": 1,
        "seconds": 0,
        "example": "select touch (?)",
    }
    assert len(data["asked_of_the_server"]) == 2
    assert data["counts_for_every_table"] == []


@pytest.mark.parametrize("servers", [[], ["10.0.0.1:5432", "/run/postgresql:5432"]])
def test_the_configuration_is_one(servers: list[str]) -> None:
    log = Log().say(*[READ] * 2000, "SELECT touch(1)", "INSERT INTO watched VALUES (1)")
    log.say("DO LANGUAGE plperl $$x$$")
    text = text_of(ASKER, log.found, "a\nb = 3.log", servers)
    group = parse(text, {}).server_groups["app"]
    assert [str(server) for server in group.servers] == (servers or ["127.0.0.1:5432"])
    assert group.cache
    assert "99.9 % of reads would have been answered" in text
    assert "#   1 times: touch" in text
    assert "#   1 times: do" in text


def test_a_cache_that_is_no_use_is_off() -> None:
    log = Log()
    for number in range(2000):
        log.say(READ, values=str(number))
    assert not parse(text_of(ASKER, log.found, "a.log", []), {}).server_groups["app"].cache


def test_a_file_is_overwritten_on_demand_only(tmp_path: Path) -> None:
    target = tmp_path / "a.toml"
    write(target, "one", force=False)
    with pytest.raises(Unanswerable, match="--force"):
        write(target, "two", force=False)
    assert target.read_text() == "one"
    write(target, "two", force=True)
    assert target.read_text() == "two"


def test_nothing_in_a_name_is_obeyed_by_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    log = Log().say('SELECT a AS "\x1b[2J" FROM orders FOR UPDATE')
    show_report(log.found, ORIGIN, as_json=False)
    assert "\x1b" not in capsys.readouterr().out


def test_a_log_whose_sessions_are_not_followed_says_so_too() -> None:
    log = Log()
    for _ in range(60):
        log.model.take_total(READ, "app", "shop", calls=1, seconds=0.25, is_logged=True)
    assert "every statement took 250 ms or more" in report(log)
