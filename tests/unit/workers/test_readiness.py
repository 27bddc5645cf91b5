"""Whether a host is ready."""

from __future__ import annotations

from proxy.workers.readiness import Readiness, of_host

WELL = Readiness({"app": []}, {})
ILL = Readiness({"app": ["no primary"]}, {})
STATES = {1: "up", 2: "up"}


def test_it_is_ready_when_one_is_and_says_what_is_in_the_way_of_others() -> None:
    is_ready, body = of_host({1: WELL, 2: ILL}, STATES, is_stopping=False)
    assert is_ready
    assert body == {
        "ready": True,
        "groups": {"app": []},
        "notes": {"app": ["worker 2: no primary"]},
        "workers": {"1": "up", "2": "up"},
    }


def test_it_is_not_when_none_is() -> None:
    is_ready, body = of_host({1: ILL, 2: ILL}, STATES, is_stopping=False)
    assert not is_ready
    assert body["groups"] == {"app": ["no primary"]}
    assert "notes" not in body


def test_nobody_who_answers_is_a_problem() -> None:
    is_ready, body = of_host({}, {1: "silent", 2: "down"}, is_stopping=False)
    assert not is_ready
    assert body["groups"] == {"process": ["no worker answers"]}


def test_it_is_not_while_it_stops() -> None:
    is_ready, body = of_host({1: WELL}, STATES, is_stopping=True)
    assert not is_ready
    assert body["groups"] == {"app": [], "process": ["shutting down"]}


def test_what_all_say_is_said_once() -> None:
    noted = Readiness({"app": []}, {"app": ["in quarantine: public.t"]})
    _, body = of_host({1: noted, 2: noted}, STATES, is_stopping=False)
    assert body["notes"] == {"app": ["in quarantine: public.t"]}
