"""The machinery of `benchmarks/balance.py` on generated text: what collapses by score alone stays found in balance."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.balance import Paragraph, corpus, measure, read_squad, with_typos

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "balance.py"
ARTICLES, PAGES, SENTENCES = 4, 5, 8
SYLLABLES = ("ка", "ло", "ми", "ра", "ту", "не", "со", "ве", "пи", "до", "гра", "стен", "мир", "лог", "тор", "зал")


def paragraphs() -> list[Paragraph]:
    """Pages of made-up words, some of the corpus, some of the article, some of the page; two questions a page."""
    draw = random.Random(11)

    def word() -> str:
        return "".join(draw.choice(SYLLABLES) for _ in range(draw.randint(2, 4)))

    common = [word() for _ in range(150)]
    made = []
    for article in range(ARTICLES):
        topic = [word() for _ in range(60)]
        for page in range(1, PAGES + 1):
            own = [word() for _ in range(20)]
            sentences = [
                [draw.choice(draw.choice((common, topic, own))) for _ in range(draw.randint(8, 14))]
                for _ in range(SENTENCES)
            ]
            asked = [" ".join(draw.sample(one, 3)) + "?" for one in draw.sample(sentences, 2)]
            text = " ".join(" ".join(one).capitalize() + "." for one in sentences)
            made.append(Paragraph(article, page, text, tuple(asked)))
    return made


@pytest.fixture(scope="module")
def figures():
    return measure(paragraphs(), "ru", (0, 20))


def test_text_stays_found_among_twenty_times_as_many_facts_and_the_facts_are_found(figures):
    assert figures["text_r5_0x_all"] >= 0.9
    assert figures["text_r5_ratio_20x_all"] >= 0.95
    assert figures["visual_r5_20x_all"] >= 0.85


def test_by_score_alone_the_same_text_is_drowned(figures):
    assert figures["plain_text_r5_20x_all"] <= figures["text_r5_20x_all"] - 0.1


def test_mistakes_in_words_cost_little(figures):
    assert figures["lexical_r5_typos_all"] >= figures["lexical_r5_all"] - 0.05


def test_the_same_corpus_comes_of_the_same_arguments_and_ten_facts_are_the_first_of_twenty():
    pages = paragraphs()
    ten, again, twenty = (corpus(pages, "ru", facts) for facts in (10, 10, 20))
    assert ten.records == again.records
    assert {one.id: one.text for one in ten.records}.items() <= {one.id: one.text for one in twenty.records}.items()
    assert len(twenty.records) == len(pages) * 21
    for question in twenty.visual:
        assert question.answers <= {one.id for one in twenty.records}
    assert {one.half for one in twenty.text} == {"dev", "test"}
    repeats = [question for question in twenty.visual if len(question.answers) > 1]
    assert repeats


def test_a_hasty_question_differs_only_in_longer_words():
    asked = "the quick liquidity of a marketplace grows"
    typed = with_typos(asked, "en", random.Random(2)).split()
    assert typed != asked.split()
    assert [word for word in typed if len(word) < 5 and word in ("the", "of", "a")] == ["the", "of", "a"]
    assert len(typed) == len(asked.split())


def test_files_in_squads_format_are_read_and_missing_ones_are_named(tmp_path):
    article = {"title": "A", "paragraphs": [{"context": "Some text.", "qas": [{"question": "What?"}]}]}
    (tmp_path / "small.ru.json").write_text(json.dumps({"data": [article, article]}), "utf-8")
    assert read_squad(tmp_path / "small.ru.json") == [
        Paragraph(0, 1, "Some text.", ("What?",)),
        Paragraph(1, 1, "Some text.", ("What?",)),
    ]
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), "--data", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "*.en.json" in done.stderr
