"""What a model is asked about a page, how much that can be, and what is believed of its answers."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pydantic
import pytest

from pipeline.docparse.vlm.bodies import Picture, hear, make_ask
from pipeline.docparse.vlm.estimate import estimate
from pipeline.docparse.vlm.evidence import RegionWords, evidence_of
from pipeline.docparse.vlm.form import Said, strict_schema
from pipeline.docparse.vlm.params import OpenAiParams
from pipeline.docparse.vlm.pictures import draw_picture, picture_size
from pipeline.docparse.vlm.prompt import complaint
from pipeline.docparse.vlm.questions import image_bound, plan_page
from pipeline.docparse.vlm.tokens import COMPLAINT_TOKENS, fixed_tokens, image_tokens, text_bound
from pipeline.docparse.words import PageText, Word
from tests.pipeline.rude_model_server import complaint_about
from tests.pipeline.vlm_pages import HEIGHT, WIDTH, make_page, openai_params, simple_page, words_in


def test_a_diagram_is_one_question_with_its_parts_and_a_speck_is_not_asked_about() -> None:
    regions, text = simple_page()
    plan = plan_page(regions, text, openai_params())
    assert [(question.holder, question.parts) for question in plan.questions] == [(0, ()), (1, (2, 3, 4))]
    assert list(plan.not_asked) == [5]
    assert "min_page_share" in plan.not_asked[5]
    asked = json.loads(plan.questions[1].text)
    assert asked["region"] == {"number": 2, "label": "diagram", "text": "Flow 1 of the platform"}
    assert [part["text"] for part in asked["parts"]] == ["Source 1", "Target 1", ""]


def test_without_grouping_every_region_is_a_question_of_its_own() -> None:
    regions, text = simple_page()
    plan = plan_page(regions, text, openai_params(group_diagrams=False, min_page_share=0))
    assert [question.holder for question in plan.questions] == [0, 1, 2, 3, 4, 5]


def test_a_diagram_with_more_parts_than_fit_is_asked_about_in_several_questions() -> None:
    nodes: list[Any] = [
        ("node", (x, y, x + 90, y + 50), 0, f"node {x} {y}") for y in range(110, 650, 60) for x in range(110, 1110, 100)
    ]
    regions, text = make_page([("diagram", (100, 100, 1150, 700), None, ""), *nodes])
    plan = plan_page(regions, text, openai_params(max_parts=40))
    assert [len(question.parts) for question in plan.questions] == [40, 40, 10]
    assert [question.alone for question in plan.questions] == [False, True, True]
    assert sorted(part for question in plan.questions for part in question.parts) == list(range(1, 91))


@pytest.mark.parametrize("seed", range(4))
def test_no_question_exceeds_the_window_however_absurd_the_page_is(seed: int) -> None:
    rng = random.Random(seed)
    alphabet = ["слово", "a", "𓀀𓀁", '"\\"', "\u0001", "数据" * 40, "x" * 5000]
    words = []
    for number in range(100_000 if seed == 0 else 5_000):
        x, y = rng.uniform(0, WIDTH - 4), rng.uniform(0, HEIGHT - 4)
        words.append(Word(rng.choice(alphabet), (x, y, x + 3, y + 3), number // 50, number))
    text = PageText(WIDTH, HEIGHT, 150, words)
    labels = ["diagram", "node", "table", "canvas", "arrow", "textbox"]
    drawn: list[Any] = [("diagram", (0, 0, WIDTH, HEIGHT), None, "")]
    for _ in range(10 if seed == 0 else 60):
        left, top = rng.uniform(0, WIDTH - 300), rng.uniform(0, HEIGHT - 300)
        box = (left, top, left + rng.uniform(20, 290), top + rng.uniform(20, 290))
        drawn.append((rng.choice(labels), box, rng.choice([None, 0]), ""))
    regions, _ = make_page(drawn)
    params = openai_params(context_tokens=rng.choice([8_000, 16_000, 128_000]), max_output_tokens=2_000)
    plan = plan_page(regions, text, params)
    asked = {index for each in plan.questions for index in (*each.parts, *([] if each.alone else [each.holder]))}
    assert asked | set(plan.not_asked) == set(range(len(regions)))
    for question in plan.questions:
        picture = image_bound(regions[question.holder].box, (WIDTH, HEIGHT), params)
        total = fixed_tokens(params) + text_bound(question.text) + picture + params.max_output_tokens
        assert total <= params.context_tokens
        assert json.loads(question.text)["parts"] is not None
    if seed == 0:
        whole = next(question for question in plan.questions if question.holder == 0 and not question.alone)
        assert whole.words_not_shown > 50_000
        assert json.loads(whole.text)["region"]["text"].endswith("…")


def test_quotes_count_as_evidence_only_where_their_words_stand_side_by_side() -> None:
    words = ["«Ёмкость»", "плат-", "формы:", "Value", "stack", "L3,", "2026"]
    text = PageText(100, 100, 150, [Word(word, (0, 0, 5, 5), 0, 0) for word in words])
    here = RegionWords(text, range(len(words)))
    assert here.find('"емкость"') == (0,)
    assert here.find("VALUE  Stack") == (3, 4)
    assert here.find("stack L3, 2026.") == (4, 5, 6)
    assert here.find("Value L3") is None
    assert here.find("tack") is None
    assert here.find("… !") is None
    assert RegionWords(text, [3]).find("stack") is None
    assert evidence_of(["Value", "2026"], here) == (3, 6)
    assert evidence_of(["Value", "2027"], here) is None
    assert evidence_of([], here) is None


def test_a_piece_of_a_number_is_no_evidence() -> None:
    words = words_in((0, 0, 900, 100), "Price $3.50 margin -5 % of 1,000 pages 3-5 in v2.", per_line=20)
    here = RegionWords(PageText(900, 100, 150, words), range(len(words)))
    for piece in ("$3", "50", "5 %", "1", "000", "3.5", "v"):
        assert here.find(piece) is None, piece
    for whole, at in (
        ("$3.50", (1,)),
        ("3.50", (1,)),
        ("-5 %", (3, 4)),
        ("1,000 pages", (6, 7)),
        ("5", (8,)),
        ("v2", (10,)),
    ):
        assert here.find(whole) == at, whole


@pytest.mark.parametrize("server", ["vllm", "ollama"])
def test_the_key_for_openai_goes_to_no_other_server_by_itself(server: str) -> None:
    values = {"model": "m", "server": server, "base_url": "https://h/v1"}
    assert OpenAiParams.model_validate(values).api_key_env is None
    assert OpenAiParams.model_validate({**values, "api_key_env": "HOUSE_KEY"}).api_key_env == "HOUSE_KEY"


def test_the_form_is_strict_and_its_fields_keep_their_names() -> None:
    schema = strict_schema()
    body = {"text": {"format": {"strict": True, "schema": schema}}}
    assert complaint_about(body) is None
    assert "title" in schema["$defs"]["SaidRegion"]["properties"]
    assert schema["$defs"]["SaidRegion"]["properties"]["kind"]["enum"][0] == "diagram"
    assert set(schema["required"]) == set(Said.model_fields)


def test_what_is_fixed_comes_first_and_the_picture_last_and_nothing_may_be_kept() -> None:
    picture = Picture("0" * 64, b"png", 100)
    ask = make_ask(openai_params(), "r", "{}", picture, input_bound=1, input_about=1, output_bound=9)
    body = ask.full()
    assert body["store"] is False
    assert body["prompt_cache_key"].startswith("docparse-")
    assert [part["type"] for part in body["input"][0]["content"]] == ["input_text", "input_image"]
    assert body["input"][0]["content"][-1]["image_url"].startswith("data:image/png;base64,")
    vllm = openai_params(server="vllm")
    chat = make_ask(vllm, "r", "{}", picture, input_bound=1, input_about=1, output_bound=9).full()
    assert not {"store", "prompt_cache_key", "max_completion_tokens"} & set(chat)
    assert chat["max_tokens"] == 9
    assert chat["messages"][1]["content"][-1] == {"type": "image_url", "image_url": {"url": picture.url()}}
    assert chat["response_format"]["json_schema"]["strict"] is True


def test_the_same_question_has_the_same_key_and_another_picture_another_one() -> None:
    def key(sha: str) -> str:
        picture = Picture(sha, b"", 1)
        return make_ask(openai_params(), "r", "{}", picture, input_bound=1, input_about=1, output_bound=9).key

    assert key("a") == key("a") != key("b")


def test_a_complaint_has_the_room_that_is_left_for_it() -> None:
    assert text_bound(complaint("𓀀" * 1000)) <= COMPLAINT_TOKENS


def test_an_answer_of_no_known_form_is_called_odd() -> None:
    for raw in (None, [], {}, {"status": "completed"}, {"output": 3, "status": "completed"}, {"choices": []}):
        assert hear("responses", raw).status == "odd"
        assert hear("chat", raw).status == "odd"


def test_pictures_are_no_larger_than_wanted_and_carry_the_numbers_of_the_parts() -> None:
    pixels = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    drawn = draw_picture(pixels, (0, 0, WIDTH, HEIGHT), {7: (200, 200, 600, 500)}, 512)
    assert (drawn.shape[1], drawn.shape[0]) == picture_size((0, 0, WIDTH, HEIGHT), (WIDTH, HEIGHT), 512)
    assert max(drawn.shape) == 512
    assert (drawn != 255).any()
    assert (pixels == 255).all(), "the page itself is left as it is"


def test_pictures_count_as_the_documentation_says() -> None:
    params = openai_params()
    assert image_tokens(1024, 1024, params) == 85 + 4 * 170
    assert image_tokens(2048, 4096, params) == 85 + 6 * 170
    assert image_tokens(1024, 1024, openai_params(detail="low")) == 85


def test_the_estimate_grows_with_what_is_asked_and_names_what_it_guesses() -> None:
    regions, _ = simple_page()
    params = openai_params(max_usd=3)
    one = estimate(params, [regions])
    assert one.questions == 2
    assert one.usd is not None
    assert one.usd_at_most is not None
    assert 0 < one.usd < one.usd_at_most
    many = estimate(params, [regions], guessed_pages=10)
    assert many.questions == 42
    assert "10 pages guessed" in many.words(params)
    assert "capped at $3.00" in many.words(params)
    assert "capped at $0.004" in many.words(params.model_copy(update={"max_usd": 0.004}))
    unpriced = openai_params(usd_per_1m_input=None)
    assert "price unknown" in estimate(unpriced, [regions]).words(unpriced)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({}, "analyst.model=NAME"),
        ({"model": "m", "server": "vllm"}, "analyst.base_url"),
        ({"model": "m", "api_key_env": None}, "wants a key"),
        ({"model": "m", "max_usd": 1}, "needs prices"),
        ({"model": "m", "place": "box"}, "a key never goes to a box"),
        ({"model": "m", "server": "ollama", "base_url": "http://h/v1", "batch": True}, "no Batch API"),
        ({"model": "m", "base_url": "http://h/v1"}, "would carry the key in OPENAI_API_KEY unencrypted"),
        ({"model": "m", "context_tokens": 8000, "max_output_tokens": 4000}, "leaves"),
    ],
)
def test_parameters_that_do_not_fit_together_are_answered_with_a_sentence(values: dict[str, Any], says: str) -> None:
    with pytest.raises(pydantic.ValidationError) as error:
        OpenAiParams.model_validate(values)
    assert says in str(error.value)
