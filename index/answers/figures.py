"""The numbers of a sentence, in digits or in words, and whether a text has them.

A number counts with what changes its meaning: a minus, a percent sign, and a word such as *million* behind it. One is
left out, because *one* and *один* are rarely numbers; so are ordinals and Roman numerals.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

from index.words import folded_words

_SPACE = " \u00a0\u2009\u202f"
_NUMBER = re.compile(rf"\d+(?:[.,'’{_SPACE}]\d+)*")
_THOUSANDS = re.compile(rf"[.,'’{_SPACE}](?=\d{{3}}(?!\d))")
_GROUPED = re.compile(rf"\d{{1,3}}(?:[.,'’{_SPACE}]\d{{3}})+(?:[.,]\d+)?")
_MINUS = re.compile(r"(?:^|(?<=[\s(\[«“\"]))[-−–]$")
_PERCENT = re.compile(r"\s*(?:%|per\s?cent|процент)", re.IGNORECASE)

_WORDS: dict[str, str] = {
    "2": "two два две двух двум двумя двое", "3": "three три трех трем тремя трое",
    "4": "four четыре четырех четырем четырьмя четверо", "5": "five пять пяти пятью пятеро",
    "6": "six шесть шести шестью шестеро", "7": "seven семь семи семью семеро", "8": "eight восемь восьми восемью",
    "9": "nine девять девяти девятью", "10": "ten десять десяти десятью",
    "11": "eleven одиннадцать одиннадцати", "12": "twelve dozen двенадцать двенадцати дюжина",
    "13": "thirteen тринадцать тринадцати", "14": "fourteen четырнадцать четырнадцати",
    "15": "fifteen пятнадцать пятнадцати", "16": "sixteen шестнадцать шестнадцати",
    "17": "seventeen семнадцать семнадцати", "18": "eighteen восемнадцать восемнадцати",
    "19": "nineteen девятнадцать девятнадцати", "20": "twenty двадцать двадцати", "30": "thirty тридцать тридцати",
    "40": "forty сорок сорока", "50": "fifty пятьдесят пятидесяти", "60": "sixty шестьдесят шестидесяти",
    "70": "seventy семьдесят семидесяти", "80": "eighty восемьдесят восьмидесяти", "90": "ninety девяносто",
    "100": "hundred hundreds сто ста сотня сотни сотен", "1000": "thousand thousands тысяча тысячи тысяч тысячу тыс",
    "1000000": "million millions миллион миллиона миллионов млн",
    "1000000000": "billion billions миллиард миллиарда миллиардов млрд bn",
    "1000000000000": "trillion trillions триллион триллиона триллионов трлн",
}  # fmt: skip
NUMBER_WORDS = {word: value for value, words in _WORDS.items() for word in words.split()}
"""A cardinal as it is written, folded → its value in digits."""


def missing(claim: str, texts: Sequence[str]) -> Iterator[str]:
    """The numbers of a claim that stand in none of the texts, each once, as the claim writes them."""
    known = {value for text in texts for _, meanings in figures(text) for value in meanings}
    seen: set[str] = set()
    for written, meanings in figures(claim):
        # what it says as a whole, "-5%", must be known; the plain number behind it is there for other texts to match
        if written not in seen and not known & _as_a_whole(meanings):
            seen.add(written)
            yield written


def _as_a_whole(meanings: set[str]) -> set[str]:
    longest = max(len(re.sub(r"[^-%]", "", each)) for each in meanings)
    return {each for each in meanings if len(re.sub(r"[^-%]", "", each)) == longest}


def figures(text: str) -> Iterator[tuple[str, set[str]]]:
    """Every number of a text as it is written, with all that it can mean: `-5 %` is -5%, 5%, -5 and 5."""
    plain = "".join(str(unicodedata.decimal(each)) if each.isdecimal() else each for each in text)
    for match in _NUMBER.finditer(plain):
        start = match.start()
        for written in _apart(match.group()):
            at = plain.index(written, start)
            start = at + len(written)
            negative = bool(_MINUS.search(plain[:at]))
            percent = bool(_PERCENT.match(plain, start))
            said = ("-" if negative else "") + written + ("%" if percent else "")
            signs = ("", "-") if negative else ("",)
            ends = ("", "%") if percent else ("",)
            yield said, {sign + value + end for value in values(written) for sign in signs for end in ends}
    yield from _in_words(plain)


def _in_words(text: str) -> Iterator[tuple[str, set[str]]]:
    words = folded_words(text)
    for at, word in enumerate(words):
        value = NUMBER_WORDS.get(word)
        if value is None:
            continue
        before = NUMBER_WORDS.get(words[at - 1]) if at else None
        behind = NUMBER_WORDS.get(words[at + 1]) if at + 1 < len(words) else None
        if _tens(value) and behind is not None and len(behind) == 1:
            continue  # twenty of twenty-five
        if len(value) == 1 and before is not None and _tens(before):
            yield f"{words[at - 1]} {word}", {str(int(before) + int(value))}
        else:
            yield word, {value}


def _tens(value: str) -> bool:
    return len(value) == 2 and value.endswith("0") and value != "10"


def _apart(found: str) -> list[str]:
    """What white space joins is one number when it groups thousands, as in `1 000 000`, and several otherwise."""
    parts = re.split(rf"[{_SPACE}]", found)
    if len(parts) == 1 or (len(parts[0]) <= 3 and all(re.match(r"\d{3}(?!\d)", part) for part in parts[1:])):
        return [found]
    return parts


def values(number: str) -> set[str]:
    """What digits can mean: `1,234` is 1234 or 1.234, as languages differ; `1,5` and `1.5` are the same."""
    meanings = {re.sub(rf"[,'’{_SPACE}]", ".", number)}
    if _GROUPED.fullmatch(number):
        meanings.add(_THOUSANDS.sub("", number).replace(",", "."))
    return {_trimmed(meaning) for meaning in meanings}


def _trimmed(number: str) -> str:
    """Without zeros that change nothing: 007 is 7, 1.50 is 1.5."""
    if number.count(".") > 1:
        return number
    whole, _, fraction = number.partition(".")
    fraction = fraction.rstrip("0")
    return (whole.lstrip("0") or "0") + (f".{fraction}" if fraction else "")
