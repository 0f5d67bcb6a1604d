"""A rude server, asked politely: nothing that was paid for is lost, nothing is invented, and the cap holds."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.core.errors import Interrupted, StageCrash
from pipeline.core.pace import Pace, span_s
from pipeline.docparse.vlm.answers import AnswerFolder
from pipeline.docparse.vlm.asking import Asker, PageAsked, PageTold
from pipeline.docparse.vlm.batches import BatchAsker
from pipeline.docparse.vlm.bodies import Picture
from pipeline.docparse.vlm.client import Client, connect
from pipeline.docparse.vlm.params import OpenAiParams
from pipeline.docparse.vlm.questions import plan_page
from pipeline.docparse.vlm.reading import PageReading, read_page
from pipeline.docparse.vlm.spending import FILE, CapReached, Purse, cap_of
from pipeline.docparse.vlm.talk import Asked
from tests.pipeline.rude_model_server import INVENTED, RudeServer, serving
from tests.pipeline.vlm_pages import openai_params, simple_page

PNG = bytes(cv2.imencode(".png", np.full((300, 400, 3), 250, np.uint8))[1])
PICTURE = Picture(hashlib.sha256(PNG).hexdigest(), PNG, 85 + 170)


@pytest.fixture
def rude() -> Iterator[RudeServer]:
    with serving() as server:
        yield server


class Desk:
    """One session that asks about pages 1, 2 … of a run's folder."""

    def __init__(self, folder: Path, params: OpenAiParams, cap_usd: float | None = None) -> None:
        self.params = params
        self.stop = threading.Event()
        self.answers = AnswerFolder(folder)
        self.purse = Purse(params, self.answers, params.max_usd if cap_usd is None else cap_usd, self.stop)
        library = connect(params, {"OPENAI_API_KEY": "sk-test"})
        if params.batch:
            self.asker: Asker | BatchAsker = BatchAsker(params, library, self.answers, self.purse, self.stop)
        else:
            client = Client(params, library, self.answers, self.purse, self.stop)
            self.asker = Asker(params, client, self.stop)

    def ask(self, pages: int = 1, *, with_text: bool = True) -> list[PageTold]:
        try:
            return self.asker.ask([self.page(number, with_text=with_text) for number in range(1, pages + 1)])
        finally:
            self.asker.close()
            self.purse.close()

    def page(self, number: int, *, with_text: bool = True) -> PageAsked:
        regions, text = simple_page(number, with_text=with_text)
        asked = []
        for question in plan_page(regions, text, self.params).questions:
            holder = regions[question.holder]
            parts = tuple(regions[part].number for part in question.parts)
            asked.append(
                Asked(f"{number:x}{holder.id}"[:16], question.holder, question.alone, holder.number, parts,
                      question.text, PICTURE, question.words_not_shown)
            )  # fmt: skip
        return PageAsked(tuple(asked))

    def read(self, number: int, told: PageTold, *, with_text: bool = True) -> PageReading:
        regions, text = simple_page(number, with_text=with_text)
        asked = self.page(number, with_text=with_text).questions
        return read_page(regions, text, list(zip(asked, told.told, strict=True)), {5: "too small"})


def whole(told: list[PageTold]) -> bool:
    return all(page.error is None and all(each.said is not None for each in page.told) for page in told)


@pytest.mark.parametrize("api", ["responses", "chat"])
def test_a_page_is_read_and_only_facts_with_evidence_are_kept(tmp_path: Path, rude: RudeServer, api: str) -> None:
    desk = Desk(tmp_path, openai_params(rude.url, api=api))
    (told,) = desk.ask()
    reading = desk.read(1, told)
    assert [each.caption for each in reading.analyses][:3] == [
        "seen 1: Слой 1 Ёмкость Platform value stack", "seen 2: Flow 1 of the platform", "part 3: Source 1",
    ]  # fmt: skip
    facts = [fact for each in reading.analyses for fact in each.facts]
    assert [fact.evidence for fact in facts] == [(0, 1), (8, 9)]
    assert reading.facts_without_evidence == 2
    assert INVENTED not in json.dumps([fact.model_dump() for fact in facts])
    assert reading.analyses[5].struct.skipped == "too small"
    assert desk.purse.spent_usd == pytest.approx(rude.billed_usd)
    assert sum(each.usd or 0 for each in told.told) == pytest.approx(rude.billed_usd)


def test_without_words_no_fact_can_be_checked_so_none_is_kept(tmp_path: Path, rude: RudeServer) -> None:
    desk = Desk(tmp_path, openai_params(rude.url))
    (told,) = desk.ask(with_text=False)
    assert all(question["text_layer"] is False for question in rude.questions())
    told.told[0].said.region.facts.append(  # type: ignore[union-attr]
        told.told[0].said.model_validate_json(  # type: ignore[union-attr]
            json.dumps({"region": {**told.told[0].said.region.model_dump(), "facts": [  # type: ignore[union-attr]
                {"subject": "a", "predicate": "b", "object": "c", "text": "d", "evidence": ["e"]}]}, "parts": []})
        ).region.facts[0]  # type: ignore[union-attr]
    )  # fmt: skip
    reading = desk.read(1, told, with_text=False)
    assert [len(each.facts) for each in reading.analyses] == [0] * 6
    assert reading.facts_unverifiable == 1
    assert {each.struct.text_source for each in reading.analyses} == {"none"}


@pytest.mark.parametrize(
    ("faults", "asked"),
    [
        (["429", "429-after"], 4), (["500", "500"], 4), (["bad-json"], 3), (["half"], 3), (["hang"], 3), (["odd"], 3),
        (["cut"], 3), (["wrong-schema"], 3), (["wrong-parts"], 3), (["429", "half", "cut", "500", "bad-json"], 7),
    ],
)  # fmt: skip
def test_every_fault_is_outlived_and_the_servers_bill_is_never_more_than_is_counted(
    tmp_path: Path, rude: RudeServer, faults: list[str], asked: int
) -> None:
    rude.script = list(faults)
    silent_s = 3 if "hang" in faults else 60
    desk = Desk(tmp_path, openai_params(rude.url, max_concurrency=2, max_usd=5, timeout_s=silent_s))
    assert whole(desk.ask())
    assert len(rude.requests) == asked
    assert rude.billed_usd <= desk.purse.spent_usd + 1e-12
    lost = sum(outcome in ("half", "hang", "bad-json", "odd") for outcome in rude.outcomes)
    assert (desk.purse.unanswered_usd > 0) == (lost > 0)


def test_what_was_answered_is_never_asked_again(tmp_path: Path, rude: RudeServer) -> None:
    rude.script = ["cut", "wrong-schema"]
    params = openai_params(rude.url)
    first = Desk(tmp_path, params).ask(3)
    asked = len(rude.requests)
    again = Desk(tmp_path, params)
    assert again.ask(3) == first
    assert len(rude.requests) == asked == 8
    assert again.purse.spent_usd == pytest.approx(rude.billed_usd)


def test_an_answer_that_was_cut_off_gets_twice_the_room_once(tmp_path: Path, rude: RudeServer) -> None:
    rude.for_region = {1: "cut"}
    (told,) = Desk(tmp_path, openai_params(rude.url, max_output_tokens=1000)).ask()
    assert told.error is not None
    assert "cut off" in str(told.error)
    longest = [body["max_output_tokens"] for body in rude.requests if json_number(body) == 1]
    assert longest == [1000, 2000]


def json_number(body: dict[str, Any]) -> int:
    return int(json.loads(body["input"][0]["content"][0]["text"])["region"]["number"])


def test_an_answer_in_the_wrong_form_is_asked_for_once_more_with_what_is_wrong(
    tmp_path: Path, rude: RudeServer
) -> None:
    rude.for_region = {2: "wrong-parts"}
    told = Desk(tmp_path, openai_params(rude.url)).ask(2)
    assert [str(page.error) for page in told] == [str(told[0].error)] * 2
    assert "[999] were not asked about" in str(told[0].error)
    complaints = [len(body["input"][0]["content"]) for body in rude.requests if json_number(body) == 2]
    assert sorted(complaints) == [2, 2, 3, 3]


def test_a_refusal_costs_its_region_only_and_is_told(tmp_path: Path, rude: RudeServer) -> None:
    rude.for_region = {2: "refusal"}
    desk = Desk(tmp_path, openai_params(rude.url))
    (told,) = desk.ask()
    reading = desk.read(1, told)
    assert reading.refused == 1
    assert reading.analyses[1].struct.skipped == "the model refused: I will not describe this."
    assert reading.analyses[1].caption == "Flow 1 of the platform Source 1 Target 1"
    assert reading.analyses[0].caption.startswith("seen 1")


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("quota", "Add credit to the account"),
        ("401", "Check the key"),
        ("404", "analyst.model=seer-1"),
        ("unknown-parameter", "analyst.prompt_cache_key: false"),
    ],
)
def test_what_only_the_operator_can_mend_stops_all_with_a_sentence_and_costs_nothing(
    tmp_path: Path, rude: RudeServer, fault: str, says: str
) -> None:
    rude.script = ["ok", fault]
    rude.always = fault
    params = openai_params(rude.url, max_concurrency=1)
    with pytest.raises(StageCrash, match=says):
        Desk(tmp_path, params).ask(4)
    assert len(rude.requests) == 2
    rude.always = None
    later = Desk(tmp_path, params)
    assert whole(later.ask(4))
    assert len(rude.requests) == 9
    assert later.purse.spent_usd == pytest.approx(rude.billed_usd)


def test_a_server_that_refuses_every_question_is_not_asked_them_all(tmp_path: Path, rude: RudeServer) -> None:
    rude.always = "400"
    with pytest.raises(StageCrash, match="refuses every question"):
        Desk(tmp_path, openai_params(rude.url, max_concurrency=1)).ask(20)
    assert len(rude.requests) == 5


def test_one_question_that_the_server_does_not_take_costs_its_page_only(tmp_path: Path, rude: RudeServer) -> None:
    rude.script = ["ok", "400"]
    first, second = Desk(tmp_path, openai_params(rude.url, max_concurrency=1)).ask(2)
    assert "Invalid image" in str(first.error)
    assert whole([second])


def test_a_server_that_stays_busy_is_left_to_a_later_session(tmp_path: Path, rude: RudeServer) -> None:
    rude.for_region = {2: "500"}
    params = openai_params(rude.url, tries=3, longest_pause_s=0.01)
    told = Desk(tmp_path, params).ask(2)
    assert all("asked 3 times" in str(page.error) for page in told)
    rude.for_region = {}
    assert whole(Desk(tmp_path, params).ask(2))
    assert Counter(rude.outcomes) == {"ok": 4, "500": 6}


@pytest.mark.parametrize("cap_usd", [0.02, 0.1, 0.35])
def test_the_servers_own_bill_never_exceeds_the_cap(tmp_path: Path, rude: RudeServer, cap_usd: float) -> None:
    rude.script = ["half", "ok", "bad-json", "500", "cut", "refusal", "wrong-schema", "half", "429"]
    params = openai_params(rude.url, max_concurrency=8, max_usd=cap_usd, max_output_tokens=600)
    desk = Desk(tmp_path, params)
    with pytest.raises(CapReached, match="ANALYST_MAX_USD"):
        desk.ask(80)
    assert rude.billed_usd <= desk.purse.spent_usd + 1e-12 <= cap_usd + 1e-9
    worst = (5_000 * 2.5 + 1_200 * 10) / 1e6
    assert cap_usd < 0.05 or desk.purse.spent_usd > cap_usd - 2 * worst, "what the cap allows is used"
    assert Desk(tmp_path, params).purse.spent_usd == pytest.approx(desk.purse.spent_usd)


def test_a_higher_cap_goes_on_from_what_is_paid(tmp_path: Path, rude: RudeServer) -> None:
    params = openai_params(rude.url, max_concurrency=2, max_usd=0.05, max_output_tokens=600)
    with pytest.raises(CapReached):
        Desk(tmp_path, params).ask(8)
    desk = Desk(tmp_path, params, cap_usd=2.0)
    assert whole(desk.ask(8))
    assert len(rude.requests) == 16
    assert desk.purse.spent_usd == pytest.approx(rude.billed_usd)


@pytest.mark.parametrize(("said", "cap_usd"), [("", 0.5), ("7.5", 7.5), ("lots", None), ("-1", None), ("inf", None)])
def test_the_environment_may_raise_the_cap_and_says_an_amount(said: str, cap_usd: float | None) -> None:
    params = openai_params(max_usd=0.5)
    if cap_usd is not None:
        assert cap_of(params, {"ANALYST_MAX_USD": said}) == cap_usd
        return
    with pytest.raises(StageCrash, match="no amount of dollars"):
        cap_of(params, {"ANALYST_MAX_USD": said})


def test_an_answer_whose_payment_was_not_written_down_is_paid_once(tmp_path: Path, rude: RudeServer) -> None:
    params = openai_params(rude.url, max_usd=1)
    desk = Desk(tmp_path, params)
    desk.ask(2)
    book = tmp_path / "answers" / FILE
    reserved = [line for line in book.read_text().splitlines() if "reserved_usd" in line]
    book.write_text("\n".join(reserved) + '\n{"ticket": 5, "requ')
    assert Desk(tmp_path, params).purse.spent_usd == pytest.approx(rude.billed_usd)


def test_no_more_requests_are_under_way_than_wanted(tmp_path: Path, rude: RudeServer) -> None:
    full = threading.Event()
    rude.on_request = lambda: full.set() if rude.at_once >= 3 else full.wait(60) and None
    assert whole(Desk(tmp_path, openai_params(rude.url, max_concurrency=3)).ask(10))
    assert rude.most_at_once == 3


def test_the_same_picture_and_words_twice_are_one_question(tmp_path: Path, rude: RudeServer) -> None:
    desk = Desk(tmp_path, openai_params(rude.url))
    page = desk.page(1)
    desk.asker.ask([page, page, page])
    assert len(rude.requests) == 2


def test_a_stop_sends_nothing_more_and_keeps_what_comes(tmp_path: Path, rude: RudeServer) -> None:
    params = openai_params(rude.url, max_concurrency=1)
    desk = Desk(tmp_path, params)
    rude.on_request = lambda: desk.stop.set() if len(rude.requests) >= 2 else None
    told = desk.ask(3)
    assert [type(page.error) for page in told] == [type(None), Interrupted, Interrupted]
    assert len(rude.requests) == 3
    rude.on_request = lambda: None
    assert whole(Desk(tmp_path, params).ask(3))
    assert len(rude.requests) == 6


def test_a_server_that_is_not_there_stops_all_with_its_address(tmp_path: Path) -> None:
    with serving() as gone:
        url = gone.url
    desk = Desk(tmp_path, openai_params(url, tries=2, longest_pause_s=0.01, max_usd=1))
    with pytest.raises(StageCrash, match=f"no connection to {url} .* see that it runs"):
        desk.ask(5)
    assert desk.purse.spent_usd == 0


def test_a_missing_key_is_named_with_where_to_put_it() -> None:
    with pytest.raises(StageCrash, match=r"there is no OPENAI_API_KEY .* \.env"):
        connect(openai_params(api_key_env="OPENAI_API_KEY"), {})


@pytest.mark.parametrize("key", ["sk-planted\nmore", "sk-planted more", "sk-planted…", "sk-plаnted"])
def test_what_cannot_be_a_key_is_never_sent_nor_said(key: str) -> None:
    with pytest.raises(StageCrash, match="what OPENAI_API_KEY holds is no key") as refused:
        connect(openai_params(api_key_env="OPENAI_API_KEY"), {"OPENAI_API_KEY": f" {key} "})
    assert "sk-" not in str(refused.value)


def test_a_full_disk_ends_all_questions_because_no_answer_can_be_kept(
    tmp_path: Path, rude: RudeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    desk = Desk(tmp_path, openai_params(rude.url, max_concurrency=2))
    monkeypatch.setattr(desk.answers, "keep", full)
    with pytest.raises(StageCrash, match=r"cannot be kept: .*No space left"):
        desk.ask(20)
    assert len(rude.requests) <= 4
    assert desk.purse.spent_usd >= rude.billed_usd


def test_a_question_that_breaks_in_an_unforeseen_way_keeps_no_other_waiting_for_its_money(
    tmp_path: Path, rude: RudeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(tmp_path, openai_params(rude.url, max_concurrency=2), cap_usd=0.2)
    assert isinstance(desk.asker, Asker)

    def broken(*_: object) -> None:
        raise UnicodeError("nobody thought of this")

    monkeypatch.setattr(desk.asker._client, "_send", broken)
    with pytest.raises(UnicodeError):
        desk.ask(8)
    assert desk.purse.unanswered_usd == desk.purse.spent_usd > 0


def test_a_key_that_the_server_repeats_when_it_refuses_it_is_not_repeated_here(
    tmp_path: Path, rude: RudeServer
) -> None:
    rude.always = "401"
    with pytest.raises(StageCrash, match="Check the key in OPENAI_API_KEY") as refused:
        Desk(tmp_path, openai_params(rude.url, api_key_env="OPENAI_API_KEY")).ask()
    assert rude.keys == {"Bearer sk-test"}
    assert "sk-test" not in str(refused.value)


def test_the_pace_keeps_to_what_is_set_and_to_what_the_server_says() -> None:
    now = [100.0]
    pace = Pace(60, None, clock=lambda: now[0])
    sent = 0
    for _ in range(600):
        now[0] += 0.1
        sent += pace.admit(1000) <= 0
    assert 60 <= sent <= 67
    pace = Pace(None, None, clock=lambda: now[0])
    assert pace.admit(1) == 0
    left = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "2s"}
    pace.learn({"x-ratelimit-limit-tokens": "6000", **left})
    assert pace.admit(1) == pytest.approx(2.0)
    now[0] += 2.0
    assert pace.admit(1200) == 0
    assert pace.admit(1) > 0
    assert (span_s("6m0s"), span_s("20ms"), span_s("1h1m"), span_s("soon")) == (360.0, 0.02, 3660.0, None)
