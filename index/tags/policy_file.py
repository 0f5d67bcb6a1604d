"""A boost policy as a file that people write: Markdown or YAML, both with the same parts.

In Markdown a part is a heading of any depth, and what it says stands below as list items (`- Canvas: 0.8`) or rows of a
table (`| Canvas | 0.8 | why |`); all other text is for readers. In YAML a part is a key. Parts, by their English or
Russian name: scale (шкала), default (по умолчанию), groups (группы), tags (теги), plus (прибавки), phases (фазы; one
deeper heading a phase), phase (фаза: the one in force), boost (усиление: lowest, highest, zone lowest, zone highest).
`default_policy.md` shows every part. Parts that a file leaves out are the default's, except groups, tags, plus and
phases, which are then empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from pathlib import Path

from index.tags.errors import BadPolicy
from index.tags.policy import Policy, Range, Said

PLACES = (
    Path("tags/policy.md"),
    Path("tags/policy.yaml"),
    Path("docs/weight policy GDINO+SAM2.md"),
)
"""Where a workspace's own policy may lie."""
PARTS = {
    "scale": "scale", "шкала": "scale", "шкала влияния": "scale", "influence scale": "scale",
    "default": "default", "по умолчанию": "default",
    "groups": "groups", "группы": "groups",
    "tags": "tags", "теги": "tags",
    "plus": "plus", "прибавки": "plus", "additions": "plus",
    "phases": "phases", "фазы": "phases", "doubleloop phases": "phases", "фазы doubleloop": "phases",
    "phase": "phase", "фаза": "phase",
    "boost": "boost", "boosts": "boost", "усиление": "boost",
}  # fmt: skip
_RANGES = ("lowest", "highest", "zone lowest", "zone highest")
_HEADING = re.compile(r"^(#{1,6})\s+(.*?)\s*#*$")
_ITEM = re.compile(r"^\s*[-*+]\s+(.*)$")
_PAIR = re.compile(r"^(.*?)\s*(?::|=|—|–)\s*(\S.*)$")
_NUMBER = re.compile(r"^[+\u2212-]?\d+(?:[.,]\d+)?$")
_EDGE = re.compile(r"^[\s`*_\"']+|[\s`*_\"']+$")


@dataclass(frozen=True)
class _Entry:
    """One statement of a file."""

    part: str
    phase: str | None
    key: str
    value: str
    line: int


def default_policy() -> Policy:
    """The policy that Spotter brings."""
    return _default()


@lru_cache(maxsize=1)
def _default() -> Policy:
    text = resources.files("index.tags").joinpath("default_policy.md").read_text("utf-8")
    entries, unread = _markdown(text, "index/tags/default_policy.md")
    return replace(_policy(entries, "index/tags/default_policy.md", None), origin="default", unread=tuple(unread))


def workspace_policy(workspace: Path) -> Policy:
    """The policy that counts in a workspace: its own file, else the default.

    Raises:
        BadPolicy: a file can't be used, or there are several.
    """
    found = [workspace / place for place in PLACES if (workspace / place).exists()]
    if len(found) > 1:
        names = ", ".join(str(path.relative_to(workspace)) for path in found)
        raise BadPolicy(f"{workspace} has several boost policies ({names}); keep one, or name it with --policy FILE.")
    return read_policy(found[0]) if found else default_policy()


def read_policy(path: Path) -> Policy:
    """The policy of a file, `.md`, `.yaml` or `.yml`.

    Raises:
        BadPolicy: naming the line that can't be understood.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise BadPolicy(f"{path}: can't be read ({reason}).") from error
    if path.suffix.lower() in (".yaml", ".yml"):
        entries, unread = list(_yaml(text, str(path))), list[str]()
    elif path.suffix.lower() == ".md":
        entries, unread = _markdown(text, str(path))
    else:
        raise BadPolicy(f"{path}: a boost policy is a .md or .yaml file.")
    if not entries:
        raise BadPolicy(
            f"{path}: it says nothing of a boost policy; a part is a heading such as `## Groups` with items such as "
            "`- Canvas: 0.8` below it (docs/TAGS.md shows a whole one)."
        )
    return replace(_policy(entries, str(path), default_policy()), unread=tuple(unread))


def _markdown(text: str, place: str) -> tuple[list[_Entry], list[str]]:
    """The statements of a Markdown file, and the sections that are none of ours."""
    entries: list[_Entry] = []
    unread: list[str] = []
    part: str | None = None
    depth, phase = 0, None
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        heading = _HEADING.match(line)
        if heading:
            name = _bare(heading.group(2))
            if part == "phases" and len(heading.group(1)) > depth:
                phase = name
                continue
            part, depth, phase = PARTS.get(name.lower()), len(heading.group(1)), None
            if part is None and depth > 1:
                unread.append(f"{name} (line {number})")
            continue
        head_of_table = number < len(lines) and _is_rule(lines[number])
        pair = None if part is None or head_of_table else _statement(line, place, number)
        if pair is not None and part is not None:
            entries.append(_Entry(part, phase, *pair, number))
    return entries, unread


def _statement(line: str, place: str, number: int) -> tuple[str, str] | None:
    """Key and value of a list item or a table's row; None for text."""
    if _is_rule(line):
        return None
    if line.lstrip().startswith("|"):
        cells = [_bare(cell) for cell in line.strip().strip("|").split("|")]
        if len(cells) < 2:
            raise BadPolicy(f"{place}, line {number}: a row has two cells or more; write `| Name | number |`.")
        return cells[0], cells[1]
    item = _ITEM.match(line)
    if item is None:
        return None
    pair = _PAIR.match(item.group(1))
    if pair is not None:
        return _bare(pair.group(1)), _bare(re.split(r"\s[(—–#]", pair.group(2))[0])
    alone = _bare(item.group(1))
    if alone and (_NUMBER.match(alone) or " " not in alone):
        return alone, alone
    raise BadPolicy(f"{place}, line {number}: {item.group(1)!r} is no statement; write `- Name: number`.")


def _is_rule(line: str) -> bool:
    """Whether a line is the rule below a table's head."""
    return "-" in line and line.lstrip().startswith("|") and set(line) <= set("|-: \t")


def _yaml(text: str, place: str) -> Iterator[_Entry]:
    import yaml

    try:
        root = yaml.compose(text, yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        raise BadPolicy(f"{place}{where}: not YAML ({getattr(error, 'problem', error)}).") from error
    for name, key_line, node in _pairs(root, place):
        part = PARTS.get(name.lower())
        if part is None:
            known = ", ".join(dict.fromkeys(PARTS.values()))
            raise BadPolicy(f"{place}, line {key_line}: {name!r} is no part of a policy; the parts are: {known}.")
        if isinstance(node, yaml.ScalarNode):
            yield _Entry(part, None, node.value, node.value, key_line)
        elif isinstance(node, yaml.SequenceNode):
            for item in node.value:
                yield _Entry(part, None, _scalar(item, place), _scalar(item, place), item.start_mark.line + 1)
        else:
            for key, line, value in _pairs(node, place):
                if isinstance(value, yaml.ScalarNode):
                    yield _Entry(part, None, key, value.value, line)
                else:
                    for group, at, amount in _pairs(value, place):
                        yield _Entry(part, key, group, _scalar(amount, place), at)


def _scalar(node: object, place: str) -> str:
    import yaml

    if not isinstance(node, yaml.ScalarNode):
        mark = getattr(node, "start_mark", None)
        raise BadPolicy(f"{place}, line {1 if mark is None else mark.line + 1}: expected a number.")
    return str(node.value)


def _pairs(node: object, place: str) -> Iterator[tuple[str, int, object]]:
    import yaml

    if not isinstance(node, yaml.MappingNode):
        mark = getattr(node, "start_mark", None)
        line = 1 if mark is None else mark.line + 1
        raise BadPolicy(f"{place}, line {line}: expected `name: value` pairs.")
    for key, value in node.value:
        yield str(key.value), key.start_mark.line + 1, value


def _policy(entries: Iterable[_Entry], place: str, base: Policy | None) -> Policy:
    """The policy that statements make, over the scale, default and ranges of `base`."""
    parts: dict[str, list[_Entry]] = {part: [] for part in PARTS.values()}
    for entry in entries:
        twice = next((e for e in parts[entry.part] if (e.phase, e.key) == (entry.phase, entry.key)), None)
        if twice is not None:
            raise BadPolicy(f"{place}, line {entry.line}: {entry.key!r} stands in line {twice.line} already; keep one.")
        parts[entry.part].append(entry)
    steps = {_number(replace(e, value=e.key) if _NUMBER.match(e.key) else e, place) for e in parts["scale"]}
    scale = tuple(sorted(steps, reverse=True)) or (base.scale if base else ())
    if len(scale) < 2 or scale[-1] <= 0:
        at = parts["scale"][0].line if parts["scale"] else 1
        raise BadPolicy(f"{place}, line {at}: a scale has two steps of influence or more, all above 0.")
    steps_of = {
        name: {entry.key: Said(_on_scale(entry, place, scale), entry.line) for entry in parts[name]}
        for name in ("groups", "tags", "default")
    }
    phases: dict[str, dict[str, Said]] = {}
    for entry in parts["phases"]:
        if entry.phase is None:
            raise BadPolicy(f"{place}, line {entry.line}: name the phase above {entry.key!r}, as in `### Discover`.")
        phases.setdefault(entry.phase, {})[entry.key] = Said(_number(entry, place), entry.line)
    default = list(steps_of["default"].values())
    if not default and base is None:
        raise BadPolicy(f"{place}: it names no default influence.")
    tag_range, zone_range = _ranges(parts["boost"], place, base)
    policy = Policy(
        origin=place,
        scale=scale,
        default=default[-1] if default or base is None else replace(base.default, line=0),
        groups=steps_of["groups"],
        tags=steps_of["tags"],
        plus={e.key: Said(_number(e, place), e.line) for e in parts["plus"]},
        phases=phases,
        tag_range=tag_range,
        zone_range=zone_range,
    )
    chosen = [entry.value for entry in parts["phase"]]
    return policy if not chosen or chosen[-1].lower() in ("none", "нет") else policy.in_phase(chosen[-1])


def _ranges(entries: list[_Entry], place: str, base: Policy | None) -> tuple[Range, Range]:
    plain = base or Policy("", (1.0, 0.1), Said(0.1, 0))
    said = {
        "lowest": plain.tag_range.lowest, "highest": plain.tag_range.highest,
        "zone lowest": plain.zone_range.lowest, "zone highest": plain.zone_range.highest,
    }  # fmt: skip
    for entry in entries:
        if entry.key.lower() not in _RANGES:
            raise BadPolicy(f"{place}, line {entry.line}: {entry.key!r} is none of {', '.join(_RANGES)}.")
        said[entry.key.lower()] = _number(entry, place)
        if not 0.5 <= said[entry.key.lower()] <= 2:
            raise BadPolicy(f"{place}, line {entry.line}: a boost is from 0.5 to 2, not {entry.value}.")
    ranges = Range(said["lowest"], said["highest"]), Range(said["zone lowest"], said["zone highest"])
    for one in ranges:
        if one.lowest > one.highest:
            raise BadPolicy(f"{place}, line {entries[0].line}: the lowest boost {one.lowest:g} is above the highest.")
    return ranges


def _number(entry: _Entry, place: str) -> float:
    text = entry.value.replace("\u2212", "-").replace(",", ".")
    if not _NUMBER.match(entry.value):
        raise BadPolicy(f"{place}, line {entry.line}: {entry.key}: {entry.value!r} is no number.")
    return float(text)


def _on_scale(entry: _Entry, place: str, scale: tuple[float, ...]) -> float:
    value = _number(entry, place)
    if value not in scale:
        steps = ", ".join(f"{step:g}" for step in scale)
        raise BadPolicy(f"{place}, line {entry.line}: {entry.key}: {entry.value} is no step of the scale ({steps}).")
    return value


def _bare(text: str) -> str:
    return _EDGE.sub("", text)
