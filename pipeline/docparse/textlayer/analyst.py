"""The analyst itself: picks the description by the region's label and keeps to one strict form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pipeline.docparse.analysis import Analysis, Struct
from pipeline.docparse.labels import Label
from pipeline.docparse.lines import lines_of
from pipeline.docparse.regions import Region
from pipeline.docparse.textlayer.canvases import describe_canvas
from pipeline.docparse.textlayer.diagrams import describe_arrow, describe_diagram
from pipeline.docparse.textlayer.page import ANALYST, Draft, RegionPage
from pipeline.docparse.textlayer.tables import describe_legend, describe_table
from pipeline.docparse.words import PageText

MAX_CAPTION_CHARS = 800


class TextLayerAnalyst:
    """Describes regions by the document's own words; it reads no pixels, knows no language and guesses nothing."""

    name = ANALYST
    version = "1"

    def analyse(self, regions: Sequence[Region], text: PageText) -> list[Analysis]:
        """One analysis per region of a page; a region without words is described as such."""
        page = RegionPage(regions, text)
        return [_analyse(region, page) for region in regions]


def _analyse(region: Region, page: RegionPage) -> Analysis:
    words = page.words_in(region)
    inside = set(words)
    titles = [heading.text for heading in page.headings if set(heading.words) <= inside]
    draft = Draft(title=page.own_title(region))
    if words:
        _DESCRIBE[region.label](region, page, draft)
        caption = _caption(region, page, draft)
    else:
        caption = f"{region.label} without text layer"
    struct = Struct(
        kind=region.label,
        title=draft.title,
        headings=tuple(titles),
        rows=tuple(draft.rows),
        labels=tuple(draft.labels),
        edges=tuple(draft.edges),
        sections=tuple(draft.sections),
        lines=tuple(line.text for line in lines_of(page.text, words)),
        text_source="pdf" if words else "none",
        analyst=ANALYST,
    )
    return Analysis(caption, struct, draft.facts)


def _caption(region: Region, page: RegionPage, draft: Draft) -> str:
    """One line: for drawn things what they are and what they are called, or which heading they stand under."""
    if region.label in ("node", "textbox"):
        return _shorten(draft.caption)
    title = f" «{draft.title}»" if draft.title else ""
    if region.label in ("diagram", "canvas", "table", "legend"):
        above = page.heading_above(region.box)
        title += f" under «{above}»" if above and above != draft.title else ""
    return _shorten(f"{region.label}{title}: {draft.caption}")


def _describe_text(region: Region, page: RegionPage, draft: Draft) -> None:
    draft.caption = page.joined(page.words_in(region))


def _describe_node(region: Region, page: RegionPage, draft: Draft) -> None:
    name = page.name_of(region.id)
    draft.title = name.text if name else None
    draft.caption = page.joined(page.words_in(region))


_DESCRIBE: Mapping[Label, Callable[[Region, RegionPage, Draft], None]] = {
    "table": describe_table,
    "diagram": describe_diagram,
    "canvas": describe_canvas,
    "legend": describe_legend,
    "node": _describe_node,
    "arrow": describe_arrow,
    "textbox": _describe_text,
}


def _shorten(text: str) -> str:
    """A caption of bounded length, cut between words."""
    flat = " ".join(text.split())
    return flat if len(flat) <= MAX_CAPTION_CHARS else flat[: flat.rfind(" ", 0, MAX_CAPTION_CHARS)] + " …"
