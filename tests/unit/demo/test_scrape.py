"""Reading what the proxy counted."""

from __future__ import annotations

from proxy.demo.scrape import Scrape

BEFORE = """\
# TYPE tidegate_reads_total counter
tidegate_reads_total{group="app",reason="replica",server="a:1"} 3.0
tidegate_reads_total{group="app",reason="hit",server="cache"} 10.0
"""
AFTER = """\
# TYPE tidegate_reads_total counter
tidegate_reads_total{group="app",reason="replica",server="a:1"} 5.0
tidegate_reads_total{group="app",reason="behind",server="b:2"} 1.0
tidegate_reads_total{group="app",reason="write",server="b:2"} 1.0
tidegate_reads_total{group="app",reason="hit",server="cache"} 10.0
# TYPE tidegate_writes_total counter
tidegate_writes_total{group="app"} 7.0
"""


def test_difference_holds_what_was_counted_in_between() -> None:
    counted = Scrape.parse(AFTER) - Scrape.parse(BEFORE)
    assert counted.by("server", "tidegate_reads_total") == {"a:1": 2, "b:2": 2}


def test_samples_are_chosen_by_their_labels() -> None:
    scrape = Scrape.parse(AFTER)
    assert scrape.by("reason", "tidegate_reads_total", server="b:2") == {"behind": 1, "write": 1}
    assert scrape.total("tidegate_reads_total", reason="hit") == 10
    assert scrape.total("tidegate_writes_total") == 7


def test_unknown_metric_counts_nothing() -> None:
    assert Scrape.parse(AFTER).total("tidegate_unheard_of_total") == 0
