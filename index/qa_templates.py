"""Questions made from what records say, without a model: headings, captions, facts and tables, in their language.

A template's question shares words with its answer, so it is easier than what people ask; it measures whether records
drown, not whether meaning is found. The patterns are those of the text-layer analyst; of free text only headings and
captions with a name in quotes make a question.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from index.rank import is_text

LONGEST_NAME = 90
"""A longer heading, cell or name is no name."""
_MOST_ANSWERS = 12
"""More records than that answer a question that asks for nothing in particular."""
_MOST_PLACES = 2
"""A heading that stands in more places names none of them."""

_CYRILLIC = re.compile(r"[а-яё]", re.IGNORECASE)
_LATIN = re.compile(r"[a-z]", re.IGNORECASE)
_NAMED = re.compile(r"^(?P<label>\w+)(?: «(?P<name>.+?)»)?(?: under «(?P<heading>.+)»)?$")
"""How the text-layer analyst begins a caption."""
_QUOTED = re.compile(r"«([^«»]+)»|“([^“”]+)”|\"([^\"]+)\"")
_ARROW = re.compile(r"^(?P<start>[^→:]+?) → (?P<end>[^→(]+?)(?: \((?P<label>[^()]*)\))?$")
_CELL = re.compile(r"^(?P<row>[^:→]+?) · (?P<column>[^:→·]+?): (?P<value>.+)$", re.DOTALL)
_LISTED = re.compile(r"^(?P<name>[^:→·]+?): (?P<value>.+)$", re.DOTALL)
_ASKS = re.compile(r"^(что|как|кто|где|когда|почему|зачем|какие|какой|какая|what|how|who|where|when|why|which)\b", re.I)

_SAID = {"en": "What does the document say about “{}”?", "ru": "Что сказано в документе о «{}»?"}
_SHOWN = {"en": "What does the {} “{}” show?", "ru": "Что показано на схеме «{1}»?"}
_UNDER = {"en": "What does the {} under “{}” show?", "ru": "Что показано на схеме под заголовком «{1}»?"}
_LEADS = {"en": "Where does the arrow from “{}” lead?", "ru": "Куда ведёт стрелка от «{}»?"}
_VALUE = {"en": "What is “{1}” of “{0}”?", "ru": "Что указано для «{0}» в графе «{1}»?"}
_ITEMS = {"en": "What is listed under “{}”?", "ru": "Что перечислено в разделе «{}»?"}
_TABLE = {"en": "Which table gives {}?", "ru": "В какой таблице указаны {}?"}


@dataclass(frozen=True)
class Passage:
    """A record as a question is made from it."""

    id: str
    type: str
    text: str
    document: str
    page: int | None
    region: str | None


@dataclass(frozen=True)
class Question:
    """A question, the records that answer it, and the words of the record that it was made from."""

    query: str
    answers: tuple[str, ...]
    language: str
    kind: str
    """`text` or `visual`."""
    document: str
    page: int | None
    evidence: str


def language_of(text: str) -> str:
    """`ru` when at least two letters of five are Cyrillic, else `en`."""
    russian, latin = len(_CYRILLIC.findall(text)), len(_LATIN.findall(text))
    return "ru" if russian and russian >= 0.4 * (russian + latin) else "en"


def in_language(text: str, language: str) -> str:
    """Of a name that stands there in two languages, `Risks · Риски` or `Risks / Риски`, the one in this language."""
    parts = [part.strip() for part in re.split(r" [·/|] ", text)]
    own = [part for part in parts if language_of(part) == language]
    return own[0] if len(parts) > 1 and own else text.strip()


def questions(passages: Sequence[Passage]) -> list[Question]:
    """Every question that the templates make of these records; one that asks for several places is left out."""
    made = [*_of_headings(passages), *_of_captions(passages), *_of_facts(passages), *_of_tables(passages)]
    asked = Counter(question.query for question in made)
    return [question for question in made if asked[question.query] == 1]


def _of_headings(passages: Sequence[Passage]) -> Iterator[Question]:
    """A heading asks for the chunks that hold it."""
    chunks: dict[tuple[str, int | None], list[Passage]] = {}
    for passage in passages:
        if is_text(passage.type) and passage.type not in ("Title", "Table", "Header", "Footer", "Image"):
            chunks.setdefault((passage.document, passage.page), []).append(passage)
    headings = [passage for passage in passages if passage.type == "Title" and _is_name(passage.text)]
    places = Counter(_folded(heading.text) for heading in headings)
    for heading in headings:
        holding = [
            chunk
            for chunk in chunks.get((heading.document, heading.page), ())
            if _folded(heading.text) in _folded(chunk.text)
        ]
        if not holding or places[_folded(heading.text)] > _MOST_PLACES:
            continue
        language = language_of(holding[0].text)
        name = in_language(heading.text, language).rstrip("?:. ")
        said = f"{name}?" if _ASKS.match(name) else _SAID[language].format(name)
        answers = tuple(chunk.id for chunk in holding)
        yield Question(said, answers, language, "text", heading.document, heading.page, heading.text.strip())


def _of_captions(passages: Sequence[Passage]) -> Iterator[Question]:
    for caption in passages:
        if caption.type != "VisualCaption":
            continue
        head = caption.text.partition(":")[0].strip()
        language = language_of(caption.text)
        query = _of_caption(head, language)
        if query is not None:
            yield Question(query, (caption.id,), language, "visual", caption.document, caption.page, head)


def _of_caption(head: str, language: str) -> str | None:
    named = _NAMED.match(head)
    if named is not None and named["name"]:
        return _asks(_SHOWN, language, named["label"], named["name"])
    if named is not None and named["heading"]:
        return _asks(_UNDER, language, named["label"], named["heading"])
    quoted = _QUOTED.search(head)
    return None if quoted is None else _asks(_SHOWN, language, "figure", next(filter(None, quoted.groups())))


def _of_facts(passages: Sequence[Passage]) -> Iterator[Question]:
    """Facts of one region that share what they speak of answer one question together."""
    about: dict[tuple[str, int | None, str | None, str, str], list[tuple[Passage, str]]] = {}
    for fact in passages:
        if fact.type != "VisualFact":
            continue
        language = language_of(fact.text)
        asked = _of_fact(" ".join(fact.text.split()), language)
        if asked is not None:
            place = (fact.document, fact.page, fact.region, asked, language)
            about.setdefault(place, []).append((fact, asked))
    for (document, page, _, query, language), found in about.items():
        if len(found) <= _MOST_ANSWERS:
            answers = tuple(fact.id for fact, _ in found)
            yield Question(query, answers, language, "visual", document, page, found[0][0].text.strip())


def _of_fact(text: str, language: str) -> str | None:
    if arrow := _ARROW.match(text):
        return _asks(_LEADS, language, arrow["start"])
    if cell := _CELL.match(text):
        return _asks(_VALUE, language, cell["row"], cell["column"])
    if listed := _LISTED.match(text):
        return _asks(_ITEMS, language, listed["name"])
    return None


def _of_tables(passages: Sequence[Passage]) -> Iterator[Question]:
    for table in passages:
        if table.type != "Table":
            continue
        language = language_of(table.text)
        cells = [in_language(one, language) for one in table.text.partition("\n")[0].split("|")]
        named = [cell for cell in cells if _is_name(cell)][:4]
        if len(named) >= 2:
            quoted = [f"«{cell}»" if language == "ru" else f"“{cell}”" for cell in named]
            head = table.text.partition("\n")[0].strip()
            query = _TABLE[language].format(", ".join(quoted))
            yield Question(query, (table.id,), language, "text", table.document, table.page, head)


def _asks(template: dict[str, str], language: str, *names: str) -> str | None:
    own = [in_language(name, language) for name in names]
    return template[language].format(*own) if all(map(_is_name, own)) else None


def _is_name(text: str) -> bool:
    """Whether it can stand for what a question is about: some letters, and not too many."""
    return len(text.strip()) <= LONGEST_NAME and sum(letter.isalpha() for letter in text) >= 3


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()


def spread(made: Iterable[Question], limit: int) -> list[Question]:
    """At most `limit` questions, dealt in turns over documents and kinds, so that none of them takes all places."""
    piles: dict[tuple[str, str], list[Question]] = {}
    for question in made:
        piles.setdefault((question.kind, question.document), []).append(question)
    by_kind: dict[str, list[list[Question]]] = {}
    for (kind, _), pile in sorted(piles.items()):
        by_kind.setdefault(kind, []).append(pile)
    taken: list[Question] = []
    at = 0
    while len(taken) < limit and any(pile for own in by_kind.values() for pile in own):
        for own in by_kind.values():
            waiting = [pile for pile in own if pile]
            if waiting and len(taken) < limit:
                taken.append(waiting[at % len(waiting)].pop(0))
        at += 1
    return taken
