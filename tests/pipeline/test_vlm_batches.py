"""The Batch API as a mode: half the price, sent once whatever happens, gone on with after a crash."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.core.errors import Interrupted, StageCrash
from pipeline.docparse.vlm.batches import FILE
from pipeline.docparse.vlm.params import OpenAiParams
from pipeline.docparse.vlm.spending import FILE as SPENDING
from pipeline.docparse.vlm.spending import CapReached, paid_usd
from tests.pipeline.rude_model_server import RudeServer, question_of, serving
from tests.pipeline.test_vlm_asking import Desk, whole
from tests.pipeline.vlm_pages import openai_params


@pytest.fixture
def rude() -> Iterator[RudeServer]:
    with serving() as server:
        yield server


def batched(rude: RudeServer, **changes: object) -> OpenAiParams:
    return openai_params(rude.url, batch=True, **changes)


@pytest.mark.parametrize("api", ["responses", "chat"])
def test_a_batch_says_what_single_questions_say_at_half_the_price(tmp_path: Path, rude: RudeServer, api: str) -> None:
    batch = Desk(tmp_path / "batch", batched(rude, api=api))
    told = batch.ask(3)
    assert whole(told)
    assert len(rude.batches) == 1
    half = rude.billed_usd
    assert batch.purse.spent_usd == pytest.approx(half)
    single = Desk(tmp_path / "single", openai_params(rude.url, api=api))
    assert [[each.said for each in page.told] for page in single.ask(3)] == [
        [each.said for each in page.told] for page in told
    ]
    assert single.purse.spent_usd == pytest.approx(2 * half)


def test_every_request_of_a_batch_is_named_by_its_region_and_its_content(tmp_path: Path, rude: RudeServer) -> None:
    Desk(tmp_path, batched(rude)).ask(2)
    lines = [json.loads(line) for line in rude.files["file-1"].splitlines()]
    names = [line["custom_id"] for line in lines]
    assert len(set(names)) == 4
    assert all(len(name) <= 64 and "-" in name for name in names)
    assert {line["url"] for line in lines} == {"/v1/responses"}


def test_what_was_cut_off_or_malformed_is_asked_again_in_a_second_batch(tmp_path: Path, rude: RudeServer) -> None:
    rude.script = ["cut", "wrong-schema", "ok", "ok"]
    assert whole(Desk(tmp_path, batched(rude)).ask(2))
    sizes = [len(rude.files[batch["input_file_id"]].splitlines()) for batch in rude.batches.values()]
    assert sizes == [4, 2]


def test_requests_that_fail_in_a_batch_cost_their_page_and_nothing_else(tmp_path: Path, rude: RudeServer) -> None:
    rude.script = ["400", "ok", "ok", "500"]
    desk = Desk(tmp_path, batched(rude, max_usd=1))
    first, second = desk.ask(2)
    assert "Invalid image" in str(first.error)
    assert "had an error" in str(second.error)
    assert desk.purse.spent_usd == pytest.approx(rude.billed_usd)


def test_an_error_that_is_only_a_text_costs_its_page_and_nothing_else(
    tmp_path: Path, rude: RudeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(tmp_path, batched(rude))
    take = desk.asker._take

    def refuse(batch: object, by_letters: object, line: bytes) -> None:
        name = json.loads(line)["custom_id"]
        take(batch, by_letters, json.dumps({"custom_id": name, "error": "not today"}).encode())

    monkeypatch.setattr(desk.asker, "_take", refuse)
    (page,) = desk.ask(1)
    assert "not today" in str(page.error)


def test_what_expired_is_asked_again(tmp_path: Path, rude: RudeServer) -> None:
    rude.script = ["ok", "expired", "expired", "ok"]
    desk = Desk(tmp_path, batched(rude))
    assert whole(desk.ask(2))
    assert desk.purse.spent_usd == pytest.approx(rude.billed_usd)
    assert len(rude.batches) == 2


def test_a_batch_whose_confirmation_was_lost_is_found_again_and_not_sent_twice(
    tmp_path: Path, rude: RudeServer
) -> None:
    rude.lose_next_batch_answer = True
    assert whole(Desk(tmp_path, batched(rude)).ask(2))
    assert len(rude.batches) == 1


def test_a_batch_that_the_list_shows_late_is_not_sent_twice(
    tmp_path: Path, rude: RudeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    rude.lose_next_batch_answer = True
    desk = Desk(tmp_path, batched(rude))
    listed = desk.asker._library.batches.list
    behind = ["once", "twice"]

    def late(**asked: object) -> object:
        if behind:
            behind.pop()
            return []
        return listed(**asked)

    monkeypatch.setattr(desk.asker._library.batches, "list", late)
    assert whole(desk.ask(2))
    assert (len(rude.batches), behind) == (1, [])


def test_a_session_that_stops_while_a_batch_is_at_work_leaves_it_to_the_next(tmp_path: Path, rude: RudeServer) -> None:
    rude.batch_polls = 10**6
    params = batched(rude, max_usd=1)
    desk = Desk(tmp_path, params)
    waited = desk.stop.wait
    polls = 0

    def stop_at_the_third(seconds: float | None = None) -> bool:
        nonlocal polls
        polls += 1
        if polls == 3:
            desk.stop.set()
        return waited(seconds)

    desk.stop.wait = stop_at_the_third  # type: ignore[method-assign]
    with pytest.raises(Interrupted, match="a resume goes on with it"):
        desk.ask(2)
    (batch,) = rude.batches.values()
    batch["polls"] = 1
    later = Desk(tmp_path, params)
    assert whole(later.ask(2))
    assert len(rude.batches) == 1
    assert later.purse.spent_usd == pytest.approx(rude.billed_usd)


def test_a_batch_that_the_server_knows_no_more_is_counted_as_paid_and_asked_anew_when_the_operator_resumes(
    tmp_path: Path, rude: RudeServer
) -> None:
    params = batched(rude, max_usd=1)
    assert whole(Desk(tmp_path, params).ask(1))
    paid = rude.billed_usd
    book = tmp_path / "answers" / FILE
    lines = [json.loads(line) for line in book.read_text().splitlines()]
    for key in lines[0]["tickets"]:
        (tmp_path / "answers" / f"{key}.json").unlink()
    book.write_text("".join(json.dumps({**line, "over": False}) + "\n" for line in lines))
    (tmp_path / "answers" / SPENDING).write_text(
        "".join(
            line + "\n" for line in (tmp_path / "answers" / SPENDING).read_text().splitlines() if "reserved" in line
        )
    )
    rude.batches.clear()
    with pytest.raises(
        StageCrash, match=r"knows batch batch_1 no more.* stay counted as paid; --resume asks them anew"
    ):
        Desk(tmp_path, params).ask(1)
    later = Desk(tmp_path, params)
    assert whole(later.ask(1))
    assert len(rude.batches) == 1
    assert later.purse.spent_usd == pytest.approx(later.purse.unanswered_usd + paid)
    assert later.purse.unanswered_usd > 0
    assert paid_usd(tmp_path) == pytest.approx(later.purse.spent_usd)


def test_a_batch_that_was_named_but_never_sent_is_sent_by_the_next_session(tmp_path: Path, rude: RudeServer) -> None:
    params = batched(rude, max_usd=1)
    assert whole(Desk(tmp_path, params).ask(1))
    book = tmp_path / "answers" / FILE
    first = json.loads(book.read_text().splitlines()[0])
    for key in first["tickets"]:
        (tmp_path / "answers" / f"{key}.json").unlink()
    book.write_text(json.dumps({**first, "name": "01jzzzzzzzzzzzzzzzzzzzzzzz"}) + "\n")
    assert whole(Desk(tmp_path, params).ask(1))
    assert len(rude.batches) == 2


def test_the_cap_holds_over_batches_too(tmp_path: Path, rude: RudeServer) -> None:
    desk = Desk(tmp_path, batched(rude, max_usd=0.05, max_output_tokens=600))
    with pytest.raises(CapReached):
        desk.ask(20)
    assert 0 < rude.billed_usd <= desk.purse.spent_usd + 1e-12 <= 0.05
    assert len(rude.batches) > 1, "what a batch gives back is used by the next one"
    asked = [question_of(body)["region"]["text"] for body in rude.requests]
    assert len(asked) == len(set(asked)) < 40


def test_a_server_without_the_batch_api_is_named(tmp_path: Path) -> None:
    with serving() as rude:
        url = rude.url
    with pytest.raises(StageCrash, match="no connection to http"):
        Desk(tmp_path, openai_params(url, batch=True, tries=2)).ask(1)
