"""A page as the stages after render take it: its pixels, its words, and the document that it is from."""

from __future__ import annotations

from pipeline.core.stage import Task
from pipeline.docparse.params import DocparseParams
from pipeline.docparse.raw import PageImage, PageOrigin
from pipeline.docparse.render import page_pixels, read_text


def page_image(task: Task, params: DocparseParams) -> PageImage:
    """The page of a task, as render drew it, with the words that count."""
    page, source = task.item.page, task.item.source
    assert page is not None
    attached = {each.path: str(task.site.sources.path(each)) for each in task.item.attached}
    path, scratch = str(task.site.sources.path(source)), str(task.site.run_dir)
    origin = PageOrigin(path, source.media_type, page, attached, scratch)
    return PageImage(page_pixels(task), read_text(task.site.run_dir, task.item.folder), task.item, origin)
