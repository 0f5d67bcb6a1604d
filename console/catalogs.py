"""Catalogs of translations: `.po` files compiled to `.mo`, and held against the texts of the source.

    python -m console.catalogs             compile what changed
    python -m console.catalogs --check     say what is wrong, write nothing; exit code 1 if anything is
    python -m console.catalogs --missing   print entries for texts that no catalog has yet, to be filled in

Texts are found by reading the source's syntax trees: whatever is given to `_`, `N_`, `gettext` and `ngettext` as a
literal. No tool of gettext is needed.
"""

from __future__ import annotations

import ast
import gettext
import io
import re
import string
import struct
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from console.language import LANGUAGES, LOCALE

HERE = Path(__file__).parent
SOURCE_LANGUAGE = "en"
_MARKS = frozenset({"_", "N_", "gettext"})
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}


class CatalogWrong(ValueError):
    """A `.po` file cannot be read; the text names file and line."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text of the source."""

    one: str
    many: str = ""
    """The plural, for one that goes with a number."""
    places: tuple[str, ...] = ()
    """`file:line`, for whoever translates."""


@dataclass(slots=True)
class Entry:
    """What a catalog says of one text."""

    one: str = ""
    many: str = ""
    said: dict[int, str] = field(default_factory=dict)
    """The translation by plural form; form 0 for a text without one."""
    line: int = 0
    fuzzy: bool = False

    @property
    def key(self) -> str:
        """How gettext files it."""
        return f"{self.one}\0{self.many}" if self.many else self.one


def read_po(path: Path) -> list[Entry]:
    """The entries of a catalog, its header first.

    Raises:
        CatalogWrong: a line is no part of a catalog.
    """
    entries: list[Entry] = []
    entry, part, fuzzy = Entry(), "", False
    for number, raw in enumerate(path.read_text("utf-8").splitlines(), 1):
        line = raw.strip()
        if not line:
            continue
        if line.startswith("#"):
            fuzzy = fuzzy or (line.startswith("#,") and "fuzzy" in line)
            continue
        keyword, quoted = _parts_of(line, path, number)
        if keyword == "msgid":
            if part:
                entries.append(entry)
            entry, fuzzy = Entry(line=number, fuzzy=fuzzy), False
        part = keyword or part
        match part:
            case "msgid":
                entry.one += quoted
            case "msgid_plural":
                entry.many += quoted
            case "msgstr":
                entry.said[0] = entry.said.get(0, "") + quoted
            case _ if form := re.fullmatch(r"msgstr\[(\d)\]", part):
                index = int(form[1])
                entry.said[index] = entry.said.get(index, "") + quoted
            case _:
                raise CatalogWrong(f"{path}:{number}: expected msgid, msgid_plural or msgstr")
    if part:
        entries.append(entry)
    return entries


def _parts_of(line: str, path: Path, number: int) -> tuple[str, str]:
    found = re.fullmatch(r'(?:([a-z_]+(?:\[\d\])?)\s+)?"((?:[^"\\]|\\.)*)"', line)
    if found is None:
        raise CatalogWrong(f'{path}:{number}: expected a keyword and "text in quotes"')
    return found[1] or "", re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[0]), found[2])


def compiled(entries: Iterable[Entry]) -> bytes:
    """The `.mo` of a catalog: sorted, so that equal catalogs are equal files."""
    pairs = sorted(
        (entry.key.encode(), "\0".join(entry.said[form] for form in sorted(entry.said)).encode())
        for entry in entries
        if any(entry.said.values()) and not entry.fuzzy
    )
    head = 7 * 4
    tables = 2 * 8 * len(pairs)
    ids, strings = io.BytesIO(), io.BytesIO()
    id_rows, string_rows = [], []
    for key, text in pairs:
        id_rows.append((len(key), ids.tell()))
        ids.write(key + b"\0")
        string_rows.append((len(text), strings.tell()))
        strings.write(text + b"\0")
    begin = head + tables
    out = [struct.pack("<7I", 0x950412DE, 0, len(pairs), head, head + 8 * len(pairs), 0, head + tables)]
    out += [struct.pack("<2I", length, begin + offset) for length, offset in id_rows]
    begin += ids.tell()
    out += [struct.pack("<2I", length, begin + offset) for length, offset in string_rows]
    return b"".join(out) + ids.getvalue() + strings.getvalue()


def texts_of(folder: Path = HERE) -> list[Text]:
    """The texts of all Python files of a folder, in the order of the files."""
    found: dict[tuple[str, str], list[str]] = {}
    for path in sorted(folder.rglob("*.py")):
        for line, one, many in _marked(ast.parse(path.read_text("utf-8"))):
            found.setdefault((one, many), []).append(f"{path.relative_to(folder.parent).as_posix()}:{line}")
    return [Text(one, many, tuple(places)) for (one, many), places in found.items()]


def _marked(tree: ast.AST) -> Iterator[tuple[int, str, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        literals = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        if node.func.id in _MARKS and literals and literals[0]:
            yield node.lineno, literals[0], ""
        elif node.func.id == "ngettext" and len(literals) == 2:
            yield node.lineno, literals[0], literals[1]


def problems(texts: Iterable[Text], language: str, locale: Path = LOCALE) -> list[str]:
    """What is wrong with a language's catalogs: sentences, none when they are complete and fit the source."""
    said: list[str] = []
    known: dict[str, tuple[Path, Entry]] = {}
    folder = locale / language / "LC_MESSAGES"
    for path in sorted(folder.glob("*.po")):
        entries = read_po(path)
        forms = _plural_forms(entries)
        if not forms:
            said.append(f"{path.name}: no Plural-Forms in its header")
        for entry in entries:
            if not entry.one:
                continue
            where = f"{path.name}:{entry.line}"
            said += [f"{where}: {trouble}" for trouble in _troubles(entry, forms)]
            before = known.setdefault(entry.one, (path, entry))[1]
            if before is not entry and (before.said, before.many) != (entry.said, entry.many):
                said.append(f"{where}: {entry.one!r} is said otherwise in {known[entry.one][0].name}")
        compiled_path = path.with_suffix(".mo")
        if not compiled_path.is_file() or compiled_path.read_bytes() != compiled(entries):
            said.append(f"{path.name}: its .mo is older: run  make catalogs")
    said += [
        f"{each.name}: there is no {each.stem}.po"
        for each in sorted(folder.glob("*.mo"))
        if not each.with_suffix(".po").exists()
    ]
    wanted = {text.one: text for text in texts}
    for text in wanted.values():
        if text.one not in known:
            said.append(f"{text.places[0] if text.places else '?'}: {text.one!r} has no translation ({language})")
        elif text.many and not known[text.one][1].many:
            said.append(f"{known[text.one][0].name}: {text.one!r} goes with a number: give its msgid_plural")
    for one, (path, entry) in known.items():
        if one not in wanted:
            said.append(f"{path.name}:{entry.line}: no text of the source is {one!r}")
    return said


def _plural_forms(entries: Iterable[Entry]) -> int:
    """How many forms the header promises; 0 without a header that gettext can use."""
    header = next((entry.said.get(0, "") for entry in entries if not entry.one), "")
    found = re.search(r"nplurals=(\d+);\s*plural=(.+?);", header)
    if found is None:
        return 0
    gettext.c2py(found[2])  # raises ValueError where the formula is none
    return int(found[1])


def _troubles(entry: Entry, forms: int) -> Iterator[str]:
    if entry.fuzzy:
        yield f"{entry.one!r} is marked fuzzy"
    wanted = range(forms) if entry.many else range(1)
    if sorted(entry.said) != list(wanted) or not all(entry.said.values()):
        yield f"{entry.one!r} is not translated in {'all its forms' if entry.many else 'full'}"
    allowed = _placeholders(entry.one) | _placeholders(entry.many)
    needed = _placeholders(entry.many or entry.one)
    for text in entry.said.values():
        if text and (_placeholders(text) - allowed or (not entry.many and _placeholders(text) != needed)):
            yield f"{entry.one!r} has other placeholders than {text!r}"


def _placeholders(text: str) -> frozenset[str]:
    """The names in braces; a text with a brace that is none has no placeholders."""
    try:
        return frozenset(name for _, name, _, _ in string.Formatter().parse(text) if name is not None)
    except ValueError:
        return frozenset()


def quoted(text: str) -> str:
    """A text as a catalog writes it."""
    for letter, character in (("\\", "\\"), ('"', '"'), ("n", "\n"), ("t", "\t"), ("r", "\r")):
        text = text.replace(character, f"\\{letter}")
    return f'"{text}"'


def missing(language: str, locale: Path = LOCALE) -> Iterator[str]:
    """Empty entries, ready for a translator, of all texts that no catalog of the language has."""
    folder = locale / language / "LC_MESSAGES"
    known = {entry.one for path in folder.glob("*.po") for entry in read_po(path)}
    for text in texts_of():
        if text.one not in known:
            yield from (f"#: {place}" for place in text.places)
            yield f"msgid {quoted(text.one)}"
            if text.many:
                yield f'msgid_plural {quoted(text.many)}\nmsgstr[0] ""\nmsgstr[1] ""\nmsgstr[2] ""\n'
            else:
                yield 'msgstr ""\n'


def compile_all(locale: Path = LOCALE) -> list[Path]:
    """Write every `.mo` that differs from its catalog; returns those written."""
    written = []
    for path in sorted(locale.glob("*/LC_MESSAGES/*.po")):
        target, new = path.with_suffix(".mo"), compiled(read_po(path))
        if not target.is_file() or target.read_bytes() != new:
            target.write_bytes(new)
            written.append(target)
    return written


def main(arguments: list[str]) -> int:
    """The tool; returns the exit code."""
    others = [language for language in LANGUAGES if language != SOURCE_LANGUAGE]
    match arguments:
        case []:
            for path in compile_all():
                print(f"wrote {path}")
            return 0
        case ["--missing"]:
            print("\n".join(line for language in others for line in missing(language)))
            return 0
        case ["--check"]:
            texts = texts_of()
            said = [problem for language in others for problem in problems(texts, language)]
            print("\n".join(said) or f"{len(texts)} texts, translated", file=sys.stderr if said else sys.stdout)
            return 1 if said else 0
        case _:
            print(__doc__, file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
