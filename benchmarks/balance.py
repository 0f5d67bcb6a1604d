"""Text among twenty times as many facts: is it still found, and are the facts?

    python benchmarks/balance.py [--data DIR] [--quick] [--json]

XQuAD's Russian and English articles (files `*.ru.json` and `*.en.json` in SQuAD's format) are ingested as documents, a
paragraph a page; each page gets 0, 10 or 20 visual facts: fragments of its own sentences as a diagram, a block's label,
an arrow or a table's cell would say them, three to a region, three of ten a near-duplicate of another. So every fact is
a hard rival of the text that it was cut from. Then the index is asked XQuAD's questions, whose one answer is their
paragraph, and as many made from facts, whose answer is that fact or a near-duplicate of it. Everything goes through the
real ingest, the offline embedder and the real search.

Articles are split in two halves in turn. What the ranking's numbers were chosen on is the dev half (`dev_…`); the
figures without a prefix are of the test half. Questions search all articles of their language.

- `text_r5_ratio_20x_*`: text R@5 with 20 facts a page over that without any; `text_r5_0x_*` is the base
- `visual_r5_20x_*`: of the questions made from facts
- `plain_text_r5_20x_*`, `plain_visual_r5_20x_*`: the same by score alone (`mode="raw"`)
- `rrf_*`: words and vectors joined by reciprocal ranks instead of a convex combination
- `page_r1_20x_*`: the answer's page is the first card
- `lexical_r1_*`, `lexical_r5_*`: without facts, all that needs no model of meaning: words and offline vectors;
  `words_r1_*` by words alone (`vector=None`)
- `lexical_r5_typos_*`: every second word of five letters or more with a mistake: a letter dropped, doubled, swapped or
  wrong
- `*_all`: over both halves
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from index.cards import cards
from index.embed import OFFLINE, embedder
from index.ingest import ingest
from index.search import Searcher, SearchResult
from index.words import folded_words
from pipeline.core.records import Record, RecordMeta

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "xquad"
LANGUAGES = ("ru", "en")
DEPTH = 10
REGION_FACTS = 3
REPEATED = 0.3
FACT_WORDS = (3, 8)
TYPO_SHARE = 0.5
SHORTEST_WITH_TYPO = 5
SHORTEST_SENTENCE = 4
_LETTERS = {"ru": "абвгдежзийклмнопрстуфхцчшщыьэюя", "en": "abcdefghijklmnopqrstuvwxyz"}
_SAID = {
    "ru": ("На схеме показано: {a}", "Блок «{a}»", "Стрелка от «{a}» к «{b}»", "Ячейка таблицы: {a} | {b}"),
    "en": ("The diagram shows: {a}", "Block “{a}”", "Arrow from “{a}” to “{b}”", "Table cell: {a} | {b}"),
}
_SAID_AGAIN = {"ru": "{a} (на рисунке)", "en": "{a} (in the figure)"}
_ASKED = {"ru": "на схеме {a}", "en": "diagram of {a}"}

Half = Literal["dev", "test"]


@dataclass(frozen=True)
class Paragraph:
    """One page of text."""

    article: int
    page: int
    text: str
    questions: tuple[str, ...]

    @property
    def id(self) -> str:
        """Of its record."""
        return f"text-{self.article}-{self.page}"


@dataclass(frozen=True)
class Question:
    """A query with the records that answer it."""

    text: str
    answers: frozenset[str]
    half: Half
    page: tuple[str, int]


@dataclass(frozen=True)
class Corpus:
    """Records to ingest, and what to ask of them."""

    records: list[Record]
    text: list[Question]
    visual: list[Question]


def read_squad(path: Path) -> list[Paragraph]:
    """The paragraphs of a file in SQuAD's format, in order."""
    articles = json.loads(path.read_text("utf-8"))["data"]
    return [
        Paragraph(at, page, paragraph["context"], tuple(asked["question"] for asked in paragraph["qas"]))
        for at, article in enumerate(articles)
        for page, paragraph in enumerate(article["paragraphs"], start=1)
    ]


def corpus(paragraphs: Sequence[Paragraph], language: str, facts_a_page: int, seed: int = 5) -> Corpus:
    """Paragraphs with generated facts; the same arguments always give the same corpus."""
    made = Corpus([], [], [])
    for paragraph in paragraphs:
        half: Half = "dev" if paragraph.article % 2 == 0 else "test"
        name = f"article-{paragraph.article:02}"
        page = (f"{name}.pdf", paragraph.page)
        made.records.append(_record(paragraph.id, paragraph.text, "NarrativeText", name, paragraph.page))
        made.text.extend(Question(_plain(text), frozenset({paragraph.id}), half, page) for text in paragraph.questions)
        # Its own generator: 10 facts a page are the first 10 of 20.
        rng = random.Random(f"{seed} {language} {paragraph.id}")
        facts = _facts(paragraph.text, language, facts_a_page, rng)
        ids = [f"fact-{paragraph.article}-{paragraph.page}-{at}" for at in range(len(facts))]
        for at, (fact_id, (text, _, _)) in enumerate(zip(ids, facts, strict=True)):
            region = f"region-{at // REGION_FACTS:04}"
            made.records.append(_record(fact_id, text, "VisualFact", name, paragraph.page, region))
        if facts:
            chosen = rng.randrange(len(facts))
            original = facts[chosen][2]
            same = frozenset(fact_id for fact_id, fact in zip(ids, facts, strict=True) if fact[2] == original)
            made.visual.append(Question(_asked(facts[chosen][1], language, rng), same, half, page))
    return made


def _plain(question: str) -> str:
    """A question without its quotes: to the search they would ask for these words exactly as written."""
    return question.translate(dict.fromkeys(map(ord, '"“”')))


def _record(record_id: str, text: str, kind: str, name: str, page: int, region: str | None = None) -> Record:
    place: dict[str, Any] = {"filename": f"{name}.pdf", "source_file": f"data/{name}.pdf", "document_id": name}
    return Record(id=record_id, text=text, meta=RecordMeta(type=kind, page=page, region_id=region, **place))


def _facts(text: str, language: str, count: int, rng: random.Random) -> list[tuple[str, str, int]]:
    """(text, what it says, number of the fact that it repeats or is) of each fact."""
    sentences = [part.split() for part in text.replace("!", ".").replace("?", ".").split(".")]
    sentences = [words for words in sentences if len(words) >= SHORTEST_SENTENCE] or [text.split()]
    made: list[tuple[str, str, int]] = []
    for at in range(count):
        if made and rng.random() < REPEATED:
            said, meant, original = rng.choice(made)
            made.append((_SAID_AGAIN[language].format(a=said), meant, original))
            continue
        first, second = (_fragment(rng.choice(sentences), rng) for _ in range(2))
        template = rng.choice(_SAID[language])
        meant = f"{first} {second}" if "{b}" in template else first
        made.append((template.format(a=first, b=second), meant, at))
    return made


def _fragment(words: Sequence[str], rng: random.Random) -> str:
    length = min(len(words), rng.randint(*FACT_WORDS))
    first = rng.randint(0, len(words) - length)
    return " ".join(words[first : first + length]).strip(" ,;:«»“”\"'()")


def _asked(meant: str, language: str, rng: random.Random) -> str:
    """A question about a fact: two thirds of its words in their order."""
    words = meant.split()
    kept = (
        sorted(rng.sample(range(len(words)), max(2, round(len(words) * 2 / 3))))
        if len(words) > 2
        else range(len(words))
    )
    return _ASKED[language].format(a=" ".join(words[at] for at in kept))


def with_typos(question: str, language: str, rng: random.Random) -> str:
    """A question typed in haste."""
    typed = []
    for word in question.split(" "):
        if sum(letter.isalpha() for letter in word) < SHORTEST_WITH_TYPO or rng.random() >= TYPO_SHARE:
            typed.append(word)
            continue
        at = rng.randrange(1, len(word) - 1)
        match rng.randrange(4):
            case 0:
                typed.append(word[:at] + word[at + 1 :])
            case 1:
                typed.append(word[:at] + word[at] + word[at:])
            case 2:
                typed.append(word[:at] + word[at + 1] + word[at] + word[at + 2 :])
            case _:
                typed.append(word[:at] + rng.choice(_LETTERS[language]) + word[at + 1 :])
    return " ".join(typed)


def build(workspace: Path, records: Sequence[Record]) -> None:
    """Ingest records as a finished run would bring them; Chroma is not asked anything here, so it gets nothing."""
    folder = workspace / "out" / "runs" / "01k9z0000000000000000000a1"
    (folder / "records").mkdir(parents=True)
    (folder / "records" / "docparse.ndjson").write_bytes(b"".join(record.to_line() for record in records))
    ingest([folder], workspace, embedder(OFFLINE), mirror=False)


Answered = list[tuple[Question, SearchResult]]


def ask(searcher: Searcher, questions: Sequence[Question], **how: Any) -> Answered:
    """Every question's answer."""
    return [(question, searcher.search(question.text, DEPTH, **how)) for question in questions]


def recall(answered: Answered, k: int, half: Half | None = None) -> float:
    """Share of questions with an answer among the first k hits."""
    asked = [(question, result) for question, result in answered if half in (None, question.half)]
    found = sum(any(hit.id in question.answers for hit in result.hits[:k]) for question, result in asked)
    return found / len(asked)


def page_recall(answered: Answered, half: Half | None = None) -> float:
    """Share of questions whose page is the first card."""
    asked = [(question, result) for question, result in answered if half in (None, question.half)]
    found = 0
    for question, result in asked:
        gathered = cards(result.hits)
        found += bool(gathered) and (gathered[0].document, gathered[0].page) == question.page
    return found / len(asked)


def measure(
    paragraphs: Sequence[Paragraph], language: str, multiples: Sequence[int] = (0, 10, 20), every: int = 1
) -> dict[str, float]:
    """The figures of one language, by name without the language."""
    figures: dict[str, float] = {}

    def note(name: str, answered: Answered, metric: Callable[[Answered, Half | None], float]) -> None:
        halves: Mapping[str, Half | None] = {"dev_{}": "dev", "{}": "test", "{}_all": None}
        for form, half in halves.items():
            figures[form.format(name)] = round(metric(answered, half), 4)

    def at(k: int) -> Callable[[Answered, Half | None], float]:
        return lambda answered, half: recall(answered, k, half)

    for multiple in multiples:
        made = corpus(paragraphs, language, multiple)
        text, visual = made.text[::every], made.visual[::every]
        with tempfile.TemporaryDirectory(prefix="spotter-balance-") as folder:
            build(Path(folder), made.records)
            with Searcher(Path(folder)) as searcher:
                ways: dict[str, dict[str, Any]] = {"": {}, "plain_": {"mode": "raw"}, "rrf_": {"fusion": "rrf"}}
                for prefix, how in ways.items() if multiple else [("", {})]:
                    answered = ask(searcher, text, **how)
                    note(f"{prefix}text_r5_{multiple}x", answered, at(5))
                    note(f"{prefix}text_r1_{multiple}x", answered, at(1))
                    note(f"{prefix}page_r1_{multiple}x", answered, page_recall)
                    if multiple:
                        seen = ask(searcher, visual, **how)
                        note(f"{prefix}visual_r5_{multiple}x", seen, at(5))
                        note(f"{prefix}visual_r1_{multiple}x", seen, at(1))
                    else:
                        note("lexical_r1", answered, at(1))
                        note("lexical_r5", answered, at(5))
                        by_words = ask(searcher, text, vector=None)
                        note("words_r1", by_words, at(1))
                        note("words_r5", by_words, at(5))
                        rng = random.Random(1)
                        mistyped = [
                            Question(with_typos(one.text, language, rng), one.answers, one.half, one.page)
                            for one in text
                        ]
                        answered = ask(searcher, mistyped)
                        note("lexical_r5_typos", answered, at(5))
                        note("lexical_r1_typos", answered, at(1))
    for name in [name for name in figures if "text_r5_" in name and "_0x" not in name]:
        half = "dev_" if name.startswith("dev_") else ""
        both = "_all" if name.endswith("_all") else ""
        base = figures[f"{half}text_r5_0x{both}"]
        figures[name.replace("text_r5_", "text_r5_ratio_")] = round(figures[name] / base, 4)
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder with *.ru.json and *.en.json (SQuAD's format)")
    parser.add_argument("--quick", action="store_true", help="every fourth question, 0 and 20 facts a page")
    parser.add_argument("--json", action="store_true", help="only the figures, as one line of JSON")
    arguments = parser.parse_args()
    files = {language: sorted(arguments.data.glob(f"*.{language}.json")) for language in LANGUAGES}
    if not all(files.values()):
        sys.exit(f"{arguments.data} holds no *.ru.json and *.en.json; give the folder of XQuAD's files with --data DIR")
    figures: dict[str, float] = {}
    for language in LANGUAGES:
        paragraphs = read_squad(files[language][0])
        multiples, every = ((0, 20), 4) if arguments.quick else ((0, 10, 20), 1)
        measured = measure(paragraphs, language, multiples, every)
        for name, value in measured.items():
            stem = name.removesuffix("_all")
            figures[f"{stem}_{language}{'_all' if stem != name else ''}"] = value
        if not arguments.json:
            questions = sum(len(paragraph.questions) for paragraph in paragraphs) // every
            words = sum(len(folded_words(paragraph.text)) for paragraph in paragraphs) // len(paragraphs)
            print(f"\n{language}: {len(paragraphs)} pages of {words} words, {questions} questions")
            print(f"{'':>26} {'dev':>6} {'test':>6} {'all':>6}")
            for name in measured:
                if not name.startswith("dev_") and not name.endswith("_all"):
                    cells = (measured.get(f"dev_{name}"), measured[name], measured.get(f"{name}_all"))
                    print(f"{name:>26} " + " ".join(f"{cell:6.3f}" if cell is not None else "     –" for cell in cells))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
