"""Catalogs of translations: `.po` files compiled to `.mo`, and held against the texts of the source, by Babel.

    python -m console.catalogs             compile what changed
    python -m console.catalogs --check     say what is wrong, write nothing; exit code 1 if anything is
    python -m console.catalogs --missing   print entries for texts that no catalog has yet, to be filled in

A tool of whoever works on Spotter: Babel comes with `make test`, not with the console.
"""

from __future__ import annotations

import io
import string
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import PoFileError, read_po, write_po

from console.language import LANGUAGES, LOCALE

HERE = Path(__file__).parent
SOURCE_LANGUAGE = "en"
KEYWORDS = {"_": None, "N_": None, "gettext": None, "ngettext": (1, 2)}
WIDEST_LINE = 120
NO_TIME = datetime(2000, 1, 1, tzinfo=UTC)
"""Babel writes the time into a catalog's head; equal catalogs are to be equal files."""


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


def read(path: Path) -> Catalog:
    """A catalog; its plural forms are those of the language whose folder it stands in.

    Raises:
        CatalogWrong: a line is no part of one.
    """
    try:
        with path.open("rb") as handle:
            return read_po(handle, locale=path.parents[1].name, abort_invalid=True)
    except (PoFileError, ValueError) as error:
        line = f":{error.lineno + 1}" if isinstance(error, PoFileError) else ""
        raise CatalogWrong(f"{path}{line}: {error}") from error


def compiled(catalog: Catalog) -> bytes:
    """The `.mo` of a catalog; what is fuzzy or empty is left out, so that English shows."""
    catalog.creation_date = catalog.revision_date = NO_TIME
    out = io.BytesIO()
    write_mo(out, catalog)
    return out.getvalue()


def texts_of(folder: Path = HERE) -> list[Text]:
    """The texts of all Python files of a folder, in the order of the files."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, line, message, _comments, _context in sorted(
        extract_from_dir(folder, keywords=KEYWORDS), key=lambda each: (each[0], each[1])
    ):
        one, many = message if isinstance(message, tuple) else (message, "")
        if one:
            found.setdefault((one, many), []).append(f"{folder.name}/{name}:{line}")
    return [Text(one, many, tuple(places)) for (one, many), places in found.items()]


def all_texts() -> list[Text]:
    """The texts of the console's source, and of the command line's help."""
    from console.cli import app
    from console.commands.translated import texts_of as texts_of_help

    return [*texts_of(), *(Text(each, places=("spotter --help",)) for each in texts_of_help(app))]


def problems(texts: Iterable[Text], language: str, locale: Path = LOCALE) -> list[str]:
    """What is wrong with a language's catalogs: sentences, none when they are complete and fit the source."""
    said: list[str] = []
    known: dict[str, tuple[Path, Message]] = {}
    folder = locale / language / "LC_MESSAGES"
    for path in sorted(folder.glob("*.po")):
        catalog = read(path)
        for message in _messages(catalog):
            where = f"{path.name}:{message.lineno}"
            said += [f"{where}: {trouble}" for trouble in _troubles(message, catalog.num_plurals)]
            before_path, before = known.setdefault(_one(message), (path, message))
            if before is not message and (before.string, before.id) != (message.string, message.id):
                said.append(f"{where}: {_one(message)!r} is said otherwise in {before_path.name}")
        made = path.with_suffix(".mo")
        if not made.is_file() or made.read_bytes() != compiled(catalog):
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
        elif text.many and not known[text.one][1].pluralizable:
            said.append(f"{known[text.one][0].name}: {text.one!r} goes with a number: give its msgid_plural")
    for one, (path, message) in known.items():
        if one not in wanted:
            said.append(f"{path.name}:{message.lineno}: no text of the source is {one!r}")
    return said


def _messages(catalog: Catalog) -> Iterator[Message]:
    return (message for message in catalog if message.id)


def _one(message: Message) -> str:
    return str(message.id if isinstance(message.id, str) else message.id[0])


def _troubles(message: Message, forms: int) -> Iterator[str]:
    one = _one(message)
    said = [message.string] if isinstance(message.string, str) else list(message.string or ())
    if message.fuzzy:
        yield f"{one!r} is marked fuzzy"
    if len(said) != (forms if message.pluralizable else 1) or not all(said):
        yield f"{one!r} is not translated in {'all its forms' if message.pluralizable else 'full'}"
    ids = [message.id] if isinstance(message.id, str) else list(message.id)
    allowed = frozenset[str]().union(*(_placeholders(text) for text in ids))
    for text in said:
        extra = _placeholders(text) - allowed
        if text and (extra or (not message.pluralizable and _placeholders(text) != allowed)):
            yield f"{one!r} has other placeholders than {text!r}"


def _placeholders(text: str) -> frozenset[str]:
    """The names in braces; a text with a brace that is none has no placeholders."""
    try:
        return frozenset(name for _before, name, _spec, _kind in string.Formatter().parse(text) if name is not None)
    except ValueError:
        return frozenset()


def missing(language: str, locale: Path = LOCALE) -> str:
    """Empty entries, ready for a translator, of all texts that no catalog of the language has."""
    known = {_one(each) for path in (locale / language / "LC_MESSAGES").glob("*.po") for each in _messages(read(path))}
    catalog = Catalog(locale=language)
    for text in all_texts():
        if text.one not in known:
            parts = (place.rpartition(":") for place in text.places if ":" in place)
            places = [(file, int(line)) for file, _colon, line in parts]
            catalog.add((text.one, text.many) if text.many else text.one, locations=places)
    out = io.BytesIO()
    write_po(out, catalog, width=WIDEST_LINE, omit_header=True)
    return out.getvalue().decode()


def compile_all(locale: Path = LOCALE) -> list[Path]:
    """Write every `.mo` that differs from its catalog; returns those written."""
    written = []
    for path in sorted(locale.glob("*/LC_MESSAGES/*.po")):
        target, new = path.with_suffix(".mo"), compiled(read(path))
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
            print("\n".join(missing(language) for language in others))
            return 0
        case ["--check"]:
            texts = all_texts()
            said = [problem for language in others for problem in problems(texts, language)]
            print("\n".join(said) or f"{len(texts)} texts, translated", file=sys.stderr if said else sys.stdout)
            return 1 if said else 0
        case _:
            print(__doc__, file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
