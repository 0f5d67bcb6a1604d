"""Groups and tags as a person lists them in Markdown, such as `docs/semantic portfolio of tags.md`.

    ## Layer: Слои / Layers
    - Engagement: Слой вовлечения / Engagement layer (система вовлечения; system of engagement)
    - Data layer

A heading of the second or a deeper level is a group: its id, and its labels behind a colon. A list item is a tag: its
name, its labels behind a colon, further names in brackets. Without labels the name is the label. Which language a label
is of, its letters tell. All other text is for readers.
"""

from __future__ import annotations

import re
from pathlib import Path

from index.tags.catalog import Group, Tag
from index.tags.errors import BadPortfolio
from index.tags.mining.run import camel, language_of

_HEADING = re.compile(r"^##+\s+(.*?)\s*#*$")
_ITEM = re.compile(r"^\s*[-*+]\s+(.*)$")
_BRACKETS = re.compile(r"\s*\(([^()]*)\)\s*$")


def read_portfolio(path: Path) -> tuple[list[Group], list[Tag]]:
    """The groups and tags of a file.

    Raises:
        BadPortfolio: naming the line that can't be understood.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise BadPortfolio(f"{path}: can't be read ({reason}).") from error
    groups: dict[str, Group] = {}
    tags: dict[str, Tag] = {}
    group: str | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        place = f"{path}, line {number}"
        if heading := _HEADING.match(line):
            name, labels, _ = _parts(heading.group(1), place)
            group = camel(name)
            groups.setdefault(group, Group(group, labels))
        elif item := _ITEM.match(line):
            if group is None:
                raise BadPortfolio(
                    f"{place}: {item.group(1)!r} stands below no group; put a heading `## Group` above it."
                )
            name, labels, further = _parts(item.group(1), place)
            tag_id = group if camel(name) == group else f"{group}/{camel(name)}"
            if tag_id in tags:
                raise BadPortfolio(f"{place}: the tag {tag_id!r} is listed twice.")
            alias: dict[str, tuple[str, ...]] = {}
            for other in further:
                alias[language_of(other)] = (*alias.get(language_of(other), ()), other)
            tags[tag_id] = Tag(tag_id, group, labels, alias)
    if not tags:
        raise BadPortfolio(
            f"{path}: it lists no tag; a group is a heading `## Layer`, a tag an item `- Engagement` below."
        )
    return list(groups.values()), list(tags.values())


def _parts(text: str, place: str) -> tuple[str, dict[str, str], list[str]]:
    """Name, labels by language, further names."""
    brackets = _BRACKETS.search(text)
    further = [part.strip() for part in brackets.group(1).split(";") if part.strip()] if brackets else []
    name, _, labels = (text[: brackets.start()] if brackets else text).partition(":")
    name = name.strip(" `*_")
    if not re.search(r"\w", name):
        raise BadPortfolio(f"{place}: {text!r} has no name.")
    shown: dict[str, str] = {}
    for label in (part.strip() for part in labels.split(" / ")):
        if label and language_of(label) in shown:
            raise BadPortfolio(f"{place}: two labels in one language; put further names in brackets.")
        if label:
            shown[language_of(label)] = label
    return name, shown or {language_of(name): name}, further
