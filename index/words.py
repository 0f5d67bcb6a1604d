"""Russian and English words the way the index sees them: folded, stemmed, cut into character 4-grams."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import Stemmer

_RUSSIAN_FUNCTION_WORDS = """
что кто кого кому кем ком чем чего чему какой какая какое какие какого каких какому каким какую какими каком как где
куда откуда когда почему зачем сколько чей чья чье чьи который которая которое которые ли и в во на с со к ко у о об
обо от до за из изо по для при над под без про через а но или же бы не ни то это этот эта эти этого этой этих он она
они оно его ее их них быть был была было были является являются
"""
_ENGLISH_FUNCTION_WORDS = """
what who whom whose which when where why how the a an of in on at to for from by with and or but as is are was were be
been being do does did this that these those it its he she they them his her their
"""
FUNCTION_WORDS = frozenset((_RUSSIAN_FUNCTION_WORDS + _ENGLISH_FUNCTION_WORDS).split())
"""Question words, prepositions, conjunctions, pronouns and forms of be: they tell nothing of what is asked; folded."""

_INVISIBLE = "\u00ad\u200b\u200c\u200d\u2060\ufeff"
_WORD = re.compile(rf"(?:[^\W_]|[\u0300-\u036f{_INVISIBLE}])+")
_DROP = dict.fromkeys(map(ord, _INVISIBLE))
_ACCENTED = re.compile("[\u0300-\u036f\u00c0-\u024f\u1e00-\u1eff]")
_CYRILLIC = re.compile(r"[\u0400-\u04ff]")
_LATIN = re.compile(r"[a-z]")


@dataclass(frozen=True)
class Word:
    """One word of a text: its character range and its stem."""

    start: int
    end: int
    stem: str


def fold(text: str) -> str:
    """One spelling for what readers take as the same: NFKC, lower case, ё as е, no soft hyphens, no accents.

    Only Latin letters and stress marks lose their accents; й is a letter of its own.
    """
    composed = unicodedata.normalize("NFKC", text.translate(_DROP)).lower().replace("ё", "е")
    return composed if composed.isascii() else _ACCENTED.sub(_without_accent, composed)


def _without_accent(match: re.Match[str]) -> str:
    base = unicodedata.normalize("NFD", match.group())[0]
    return "" if unicodedata.combining(base) else base


def folded_words(text: str) -> list[str]:
    """The words of a text, folded, in order."""
    return _WORD.findall(fold(text))


_stemmers: dict[str, Stemmer.Stemmer] = {}


def _stemmer(language: str) -> Stemmer.Stemmer:
    if language not in _stemmers:
        _stemmers[language] = Stemmer.Stemmer(language, 0)
    return _stemmers[language]


@lru_cache(maxsize=200_000)
def stem(folded: str) -> str:
    """The Snowball stem of a folded word: Russian for Cyrillic letters, English for Latin, else the word itself."""
    if _CYRILLIC.search(folded):
        return str(_stemmer("russian").stemWord(folded))
    if _LATIN.search(folded):
        return str(_stemmer("english").stemWord(folded))
    return folded


def char_grams(folded: str, size: int = 4) -> tuple[str, ...]:
    """Overlapping character n-grams of a word with its two ends marked; a short word is one gram."""
    marked = f"‹{folded}›"
    if len(marked) <= size:
        return (marked,)
    return tuple(marked[at : at + size] for at in range(len(marked) - size + 1))


class Token(NamedTuple):
    """A word in its place: character range and folded form."""

    start: int
    end: int
    folded: str


def tokens(text: str) -> list[Token]:
    """The words of a text as given, in order; one that folding cuts in two gives two with the same range."""
    return [
        Token(match.start(), match.end(), folded)
        for match in _WORD.finditer(text)
        for folded, _ in _parts(match.group())
    ]


def occurrences(text: str, stems: Collection[str], prefix: str | None = None) -> list[Word]:
    """Where words with these stems, or that begin with this folded prefix, stand in a text as given."""
    initials = {one[0] for one in (*stems, prefix) if one}
    if not initials:
        return []
    found = []
    for match in _words_beginning("".join(sorted(initials))).finditer(text):
        for folded, base in _parts(match.group()):
            if base in stems or (prefix is not None and folded.startswith(prefix)):
                found.append(Word(match.start(), match.end(), base))
                break
    return found


@lru_cache(maxsize=1_000)
def _words_beginning(initials: str) -> re.Pattern[str]:
    """Whole words that can begin with one of these letters when folded: most of a text need not be looked at.

    A stem begins as its word does. Beyond ASCII and Cyrillic every word is looked at, for folding has its ways there.
    """
    spelt = {form for letter in initials for form in (letter, letter.upper(), letter.title()) if len(form) == 1}
    if "е" in spelt:
        spelt |= {"ё", "Ё"}
    inside = rf"[^\W_]|[\u0300-\u036f{_INVISIBLE}]"
    after = rf"(?<![^\W_])(?<![\u0300-\u036f{_INVISIBLE}])"
    letters = re.escape("".join(sorted(spelt)))
    return re.compile(rf"{after}(?=[{letters}]|[^\x00-\x7f\u0400-\u04ff])(?:{inside})+")


@lru_cache(maxsize=100_000)
def _parts(written: str) -> tuple[tuple[str, str], ...]:
    """Folding can cut a written word in two (a ligature of symbols); mostly it is one."""
    return tuple((folded, stem(folded)) for folded in folded_words(written))
