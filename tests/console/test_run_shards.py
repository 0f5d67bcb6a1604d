"""Who gets which shard: nothing is on disk but the boxes' own queues, so whatever is lost is free again."""

from __future__ import annotations

import pytest

from console.operations.shards import ShardBook
from pipeline.core.shards import Listing

SHARDS = {f"{number:04d}": (f"item-{number}",) for number in range(12)}


class Time:
    """A clock that stands until it is told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def book(time: Time) -> ShardBook:
    book = ShardBook(time)
    book.fill(SHARDS)
    return book


def give(book: ShardBook, box: str) -> list[str]:
    """What a box takes, and says that it has."""
    names = sorted(book.take(box))
    book.note(box, Listing(tuple(names), (), ()))
    return names


def test_boxes_that_are_awaited_are_left_their_share(book: ShardBook) -> None:
    for box in ("b1", "b2", "b3"):
        book.join(box)
    shares = [give(book, box) for box in ("b1", "b2", "b3")]
    assert [len(share) for share in shares] == [4, 4, 4]
    assert sorted(name for share in shares for name in share) == sorted(SHARDS)
    assert book.free == []


def test_the_share_of_a_box_that_cannot_be_had_goes_to_the_others(book: ShardBook) -> None:
    for box in ("b1", "b2"):
        book.join(box)
    assert len(give(book, "b1")) == 6
    book.drop("b2")
    assert len(book.free) == 6
    book.note("b1", Listing((), (), tuple(sorted(SHARDS)[:6])))
    assert len(book.take("b1")) == 6


def test_what_a_lost_box_had_not_handed_in_is_free_again(book: ShardBook) -> None:
    book.join("b1")
    names = give(book, "b1")
    book.note("b1", Listing(tuple(names[4:]), tuple(names[2:4]), tuple(names[:2])))
    book.settle(names[:1])
    assert book.left == 11
    assert book.drop("b1") == 10
    assert book.free == names[1:], "what was done there but not fetched must be done again"


def test_nothing_is_free_while_a_box_may_hold_anything(book: ShardBook) -> None:
    book.join("b1", worked=True)
    book.join("b2")
    assert book.take("b2") == {}
    assert book.rob_for("b2"), "worth waiting for"
    book.note("b1", Listing(("0000",), (), ()))
    assert len(book.free) == 11


def test_nothing_is_free_before_it_is_known_what_there_is_to_do() -> None:
    book = ShardBook()
    book.join("b1")
    assert (book.free, book.left, book.take("b1")) == ([], None, {})


def test_an_idle_box_takes_from_the_one_that_will_be_busy_longest_by_how_fast_both_are(
    book: ShardBook, time: Time
) -> None:
    for box in ("slow", "middle", "fast"):
        book.join(box)
    slow, middle, fast = (give(book, box) for box in ("slow", "middle", "fast"))
    time.now = 40.0
    book.note("slow", Listing(tuple(slow[1:]), (), tuple(slow[:1])))
    book.note("middle", Listing(tuple(middle[3:]), (), tuple(middle[:3])))
    book.note("fast", Listing((), (), tuple(fast)))
    assert book.take("fast") == {}
    assert book.rob_for("fast")
    assert (book.to_hand_over("slow"), book.to_hand_over("middle")) == (2, 0)
    book.handed_over("slow", Listing((slow[1],), (), (slow[0],)))
    assert sorted(book.take("fast")) == slow[2:]
    assert book.to_hand_over("slow") == 0


def test_with_nothing_to_take_a_box_is_finished(book: ShardBook) -> None:
    book.join("b1")
    book.join("b2")
    first, second = give(book, "b1"), give(book, "b2")
    book.note("b1", Listing((), (), tuple(first)))
    book.note("b2", Listing((), tuple(second), ()))
    assert not book.rob_for("b1"), "what was begun cannot be taken"
    assert book.is_finished("b1")
    assert not book.is_finished("b2")


def test_a_shard_on_its_way_is_not_given_twice(book: ShardBook) -> None:
    book.join("b1")
    assert len(book.take("b1")) == 12
    book.join("b2")
    assert book.take("b2") == {}
