"""Tables and legends, read by their rules and gaps."""

from __future__ import annotations

from pipeline.docparse.lines import clean, lines_of, phrases_of
from pipeline.docparse.regions import Region
from pipeline.docparse.textlayer.page import Draft, RegionPage, Said, cell_words, fact


def describe_table(region: Region, page: RegionPage, draft: Draft) -> None:
    """Rows of cells; a fact for every cell under a heading and beside a row's name."""
    cells = [[Said(page.joined(words), tuple(words)) for words in row] for row in cell_words(page, region)]
    if not cells:
        cells = [[Said(line.text, line.words)] for line in lines_of(page.text, page.words_in(region))]
    cells = [row for row in cells if any(cell.text for cell in row)]
    draft.rows = [tuple(cell.text for cell in row) for row in cells]
    width = max(len(row) for row in cells)
    draft.caption = f"{len(cells)} rows × {width} columns: {' | '.join(draft.rows[0])}"
    if width < 2:
        return
    head, *body = cells
    for name, *values in body:
        for column, value in zip(head[1:], values, strict=True):
            if name.text and column.text and value.text:
                text = f"{name.text} · {column.text}: {value.text}"
                draft.facts.append(fact(name, column.text, value, text, column))


def describe_legend(region: Region, page: RegionPage, draft: Draft) -> None:
    """The entries beside its swatches."""
    phrases = phrases_of(page.text, page.words_in(region))
    title: Said | None = None
    if len(phrases) > 1 and phrases[0].alone:
        title = Said(clean(phrases[0].text), phrases[0].words)
        draft.title = title.text
        phrases = phrases[1:]
    entries = [Said(clean(phrase.text), phrase.words) for phrase in phrases]
    draft.labels = [entry.text for entry in entries]
    if title is not None:
        draft.facts = [fact(title, "names", entry, f"{title.text}: {entry.text}") for entry in entries]
    draft.caption = ", ".join(draft.labels)
