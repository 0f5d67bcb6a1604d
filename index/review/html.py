"""The page's HTML: the template, its own scripts and styles, and the policy that lets nothing else run."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import orjson
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

_SAFE = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


@dataclass(frozen=True)
class Block:
    """One block of data in the file."""

    id: str
    media_type: str
    text: Markup


def block_text(value: Any) -> Markup:
    """JSON for a block of a page: nothing in it can end the block or begin another."""
    return Markup(orjson.dumps(value).decode().translate(_SAFE))  # noqa: S704


def _asset(name: str) -> str:
    return (resources.files("index.review") / "web" / name).read_text("utf-8")


def scripts() -> list[str]:
    """The page's scripts, in the order in which they run."""
    found = (resources.files("index.review") / "web").iterdir()
    return [_asset(path.name) for path in sorted(found, key=lambda path: path.name) if path.name.endswith(".js")]


def _digests(texts: Sequence[str]) -> str:
    return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in texts)


def page_html(head: Mapping[str, Any], blocks: Iterator[Block]) -> Iterator[str]:
    """The page, part by part."""
    code, style = scripts(), _asset("page.css")
    beside = " 'self' file:" if head["folder"] else ""
    rules = ["default-src 'none'", f"script-src {_digests(code)}{beside}", f"style-src {_digests([style])}"]
    policy = "; ".join([*rules, f"img-src blob:{beside}", "base-uri 'none'", "form-action 'none'"])
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(_asset("page.html.j2"))
    yield from template.generate(
        policy=policy, title=head["title"], style=Markup(style), head=block_text(head), blocks=blocks,  # noqa: S704
        scripts=[Markup(each) for each in code],  # noqa: S704
    )  # fmt: skip
