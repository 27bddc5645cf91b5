"""Who may believe that a replica has come far enough."""

from __future__ import annotations

from proxy.freshness.replica import ConnectionPosition, Watermark
from proxy.types import Position

EPOCH = 3


def read(watermark: Watermark, position: int, *, sent: float, epoch: int = EPOCH) -> None:
    watermark.arrived(watermark.ask(epoch, sent), Position(position))


def test_a_connection_believes_a_reading_sent_after_it_was_open() -> None:
    watermark = Watermark()
    connection = ConnectionPosition(watermark, opened_at=1.0)
    read(watermark, 50, sent=2.0)
    assert connection.believes(Position(50), EPOCH)
    assert not connection.believes(Position(51), EPOCH)


def test_a_connection_does_not_believe_a_reading_sent_before_it_was_open() -> None:
    watermark = Watermark()
    read(watermark, 50, sent=2.0)
    assert watermark.reaches(Position(50), EPOCH)
    for opened_at in (2.0, 3.0):
        assert not ConnectionPosition(watermark, opened_at).believes(Position(50), EPOCH)


def test_a_reading_counts_from_its_sending_not_from_its_answer() -> None:
    watermark = Watermark()
    reading = watermark.ask(EPOCH, 1.0)
    connection = ConnectionPosition(watermark, opened_at=2.0)
    watermark.arrived(reading, Position(50))
    assert not connection.believes(Position(50), EPOCH)
    read(watermark, 50, sent=3.0)
    assert connection.believes(Position(50), EPOCH)


def test_without_a_reading_nothing_is_believed() -> None:
    assert not ConnectionPosition(Watermark(), opened_at=1.0).believes(Position(0), EPOCH)


def test_a_lost_witness_takes_its_reading_along() -> None:
    watermark = Watermark()
    connection = ConnectionPosition(watermark, opened_at=1.0)
    read(watermark, 50, sent=2.0)
    watermark.void()
    assert not connection.believes(Position(0), EPOCH)


def test_the_answer_of_a_lost_witness_is_not_taken() -> None:
    watermark = Watermark()
    reading = watermark.ask(EPOCH, 2.0)
    watermark.void()
    watermark.arrived(reading, Position(50))
    assert not watermark.reaches(Position(0), EPOCH)


def test_a_new_witness_may_say_less() -> None:
    watermark = Watermark()
    connection = ConnectionPosition(watermark, opened_at=1.0)
    read(watermark, 50, sent=2.0)
    read(watermark, 40, sent=3.0)
    assert not connection.believes(Position(50), EPOCH)


def test_what_was_read_on_the_connection_itself_stays_true_for_its_life() -> None:
    watermark = Watermark()
    connection = ConnectionPosition(watermark, opened_at=1.0)
    connection.verified(Position(70), EPOCH)
    watermark.void()
    assert connection.believes(Position(70), EPOCH)
    assert not connection.believes(Position(71), EPOCH)


def test_positions_of_another_epoch_are_void() -> None:
    watermark = Watermark()
    connection = ConnectionPosition(watermark, opened_at=1.0)
    read(watermark, 90, sent=2.0)
    connection.verified(Position(90), EPOCH)
    assert not connection.believes(Position(10), EPOCH + 1)
    assert not watermark.reaches(Position(10), EPOCH + 1)


def test_a_reading_sent_in_the_old_epoch_does_not_count_in_the_new_one() -> None:
    watermark = Watermark()
    connection = ConnectionPosition(watermark, opened_at=1.0)
    reading = watermark.ask(EPOCH, 2.0)
    watermark.arrived(reading, Position(90))
    assert not connection.believes(Position(10), EPOCH + 1)
