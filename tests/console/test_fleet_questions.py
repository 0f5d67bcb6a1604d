"""What is asked before a machine is stopped, destroyed, replaced or prolonged: tables of cases."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.actions.action import Question
from console.models.fleet import FleetView, GuardView, InstanceView, Work
from console.screens.fleet_guard import guard_text
from console.screens.fleet_questions import destroy_question, extend_question, rerent_question, stop_question
from tests.console.test_burn import GUARD, NOW, OURS, fleet

RUN = OURS.run_id or ""
FREE = replace(OURS, run_id=None)
DRIVEN = replace(OURS, work=Work(RUN, "docparse", "running", 1, 9, 77, NOW, NOW))


def asked(question: Question | str) -> Question:
    assert isinstance(question, Question), question
    return question


def other(number: int, **changes: object) -> InstanceView:
    return replace(FREE, id=number, **changes)  # type: ignore[arg-type]


def test_a_destroy_names_its_machine_and_wants_the_last_digits_of_its_id() -> None:
    question = asked(destroy_question(fleet(FREE), ("31245",), NOW))
    assert question.title == "Destroy instance 31245 x?"
    assert question.typed == "1245"
    assert question.commands == (("destroy", "31245", "--yes"),)


@pytest.mark.parametrize("change", [{"unpulled_run": RUN}, {"state": "stopped"}])
def test_a_destroy_whose_question_named_the_loss_is_not_refused_again(change: dict[str, str]) -> None:
    view = replace(FREE, **change)  # type: ignore[arg-type]
    question = asked(destroy_question(fleet(view), ("31245",), NOW))
    assert question.commands == (("destroy", "31245", "--yes", "--force"),)


def test_a_run_that_has_left_nothing_yet_gives_up_nothing_for_it_may_begin_before_the_yes() -> None:
    question = asked(destroy_question(fleet(OURS), ("31245",), NOW))
    assert "is about to use it" in question.detail
    assert question.commands == (("destroy", "31245", "--yes"),)


def test_of_several_every_one_that_is_given_up_unasked_is_named() -> None:
    view = fleet(*(other(number) for number in range(1, 10)), other(10, unpulled_run=RUN), other(11, state="stopped"))
    question = asked(destroy_question(view, tuple(str(number) for number in range(1, 12)), NOW))
    assert "10 x" in question.detail
    assert "RESULTS NOT HERE" in question.detail
    assert "It is stopped: it cannot be asked what it holds." in question.detail
    assert "and 1 more" in question.detail
    assert [command[1] for command in question.commands if "--force" in command] == ["10", "11"]


def test_several_are_destroyed_after_their_count_is_typed_each_by_its_own_command() -> None:
    view = fleet(FREE, other(2, unpulled_run=RUN), other(3))
    question = asked(destroy_question(view, ("31245", "2"), NOW))
    assert (question.title, question.typed) == ("Destroy 2 instances?", "2")
    assert question.commands == (("destroy", "31245", "--yes"), ("destroy", "2", "--yes", "--force"))
    assert "RESULTS NOT HERE" in question.detail
    assert "Together $0.800/h" in question.detail


def test_many_are_counted_beyond_the_first() -> None:
    view = fleet(*(other(number) for number in range(1, 21)))
    question = asked(destroy_question(view, tuple(str(number) for number in range(1, 21)), NOW))
    assert "and 12 more" in question.detail
    assert len(question.commands) == 20


@pytest.mark.parametrize("targets", [(), ("7",), ("31245", "9")])
def test_what_is_not_there_or_not_ours_is_left_alone_by_every_question(targets: tuple[str, ...]) -> None:
    view = fleet(FREE, other(9, standing="foreign"))
    for answer in (
        destroy_question(view, targets, NOW),
        stop_question(view, targets, NOW),
        rerent_question(view, targets, NOW, NOW),
        extend_question(view, targets, 2, NOW),
    ):
        assert isinstance(answer, str)
        assert answer
    assert isinstance(destroy_question(None, ("31245",), NOW), str)


def test_a_stop_says_what_it_ends_what_goes_on_and_that_it_may_be_for_good() -> None:
    question = asked(stop_question(fleet(FREE), ("31245",), NOW))
    assert "ends $0.380/h; its disk goes on at $0.020/h, $0.48 a day" in question.detail
    assert "may not start again" in question.detail
    assert "no guard" in question.detail
    assert question.commands == (("stop", "31245", "--yes"),)


@pytest.mark.parametrize(
    ("view", "says"),
    [
        (replace(FREE, state="stopped"), "stopped already"),
        (replace(FREE, state="loading"), "no state to stop in"),
        (replace(FREE, standing="orphan"), "D destroys it"),
        (replace(FREE, standing="missing"), "D destroys it"),
        (DRIVEN, "K on Runs"),
    ],
)
def test_a_machine_that_cannot_be_stopped_says_why_and_what_can_be_done(view: InstanceView, says: str) -> None:
    assert says in str(stop_question(fleet(view), ("31245",), NOW))


def test_a_re_rent_is_bounded_in_price_and_says_what_becomes_of_the_run() -> None:
    question = asked(rerent_question(fleet(DRIVEN), ("31245",), NOW, NOW))
    assert question.commands == (("rerent", "31245", "--yes", "--max-usd-per-hour", "0.500", "--run", RUN),)
    assert "Run aaaabbbb is stopped, fetched and verified here" in question.detail
    assert question.typed == ""
    assert "once nothing on it would be lost" in asked(rerent_question(fleet(FREE), ("31245",), NOW, NOW)).detail


def test_a_re_rent_of_what_cannot_be_reached_gives_up_what_is_there_only_after_typing() -> None:
    question = asked(rerent_question(fleet(replace(DRIVEN, state="lost", since=NOW - 1e4)), ("31245",), NOW, NOW))
    assert question.commands[0][-1] == "--give-up"
    assert question.typed == "1245"
    assert "GIVEN UP" in question.detail


def test_nothing_is_rented_while_what_is_rented_is_not_known() -> None:
    stale = replace(fleet(FREE), error="no answer")
    assert "nothing more is rented" in str(rerent_question(stale, ("31245",), NOW, NOW))
    assert "One at a time" in str(rerent_question(fleet(FREE, other(2)), ("31245", "2"), NOW, NOW))
    assert "Nobody knows" in str(rerent_question(fleet(replace(FREE, standing="orphan")), ("31245",), NOW, NOW))


def test_prolonging_says_until_when_and_what_it_may_cost() -> None:
    question = asked(extend_question(fleet(FREE), ("31245",), 3, NOW))
    assert question.title == "Let instance 31245 go on 3 hours longer?"
    assert "ends in 2h 00m, then in 5h 00m; at most $1.20 more" in question.detail
    assert question.commands == (("guard", "31245", "--add-hours", "3", "--yes"),)
    several = extend_question(fleet(FREE, other(2, guard=None)), ("31245", "2"), 3, NOW)
    assert "mark it alone" in str(several)
    assert "cannot be told" in str(extend_question(fleet(replace(FREE, state="stopped")), ("31245",), 3, NOW))


def test_an_empty_fleet_answers_every_question_with_a_sentence() -> None:
    assert isinstance(destroy_question(FleetView(), ("1",), NOW), str)


@pytest.mark.parametrize("guard", [None, replace(GUARD, proven=False, problem="HTTP 401")])
def test_a_machine_that_nothing_guards_is_given_a_guard_and_not_prolonged(guard: GuardView | None) -> None:
    question = asked(extend_question(fleet(replace(FREE, guard=guard)), ("31245",), 3, NOW))
    assert question.commands == (("guard", "31245"),)
    assert "a guard?" in question.title
    assert "cannot be told" in str(
        extend_question(fleet(replace(FREE, guard=guard, state="stopped")), ("31245",), 3, NOW)
    )
    assert "R   gives it one" in guard_text(replace(FREE, guard=guard), NOW, 2).plain
