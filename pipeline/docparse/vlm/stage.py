"""The analyze stage of the analyst `openai`: workers draw the pictures and write the files, one place asks and pays."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from pipeline.core.errors import Interrupted
from pipeline.core.files import write_atomic
from pipeline.core.manifest import Item
from pipeline.core.stage import MapStage, Output, Task
from pipeline.docparse.analyze import write_analyses
from pipeline.docparse.page_files import read_regions
from pipeline.docparse.params import DocparseParams
from pipeline.docparse.regions import Region
from pipeline.docparse.render import read_page, read_text
from pipeline.docparse.vlm.answers import FOLDER, AnswerFolder
from pipeline.docparse.vlm.asking import Asker, PageAsked, PageTold
from pipeline.docparse.vlm.batches import BatchAsker
from pipeline.docparse.vlm.bodies import Picture
from pipeline.docparse.vlm.client import Client, connect
from pipeline.docparse.vlm.estimate import forecast
from pipeline.docparse.vlm.params import OpenAiParams
from pipeline.docparse.vlm.pictures import draw_picture, encode_picture
from pipeline.docparse.vlm.prompt import prompt_digest
from pipeline.docparse.vlm.questions import PagePlan, Question, image_bound, plan_page
from pipeline.docparse.vlm.reading import read_page as read_told
from pipeline.docparse.vlm.spending import Purse, cap_of
from pipeline.docparse.vlm.talk import Asked, Told

PAGES_AT_ONCE = 2
"""Pages in hand for every request that may be under way: enough that none waits for the last answer of the others."""
NOT_IN_KEY = frozenset({
    "api_key_env", "place", "max_concurrency", "requests_per_minute", "tokens_per_minute", "tries", "timeout_s",
    "longest_pause_s", "usd_per_1m_input", "usd_per_1m_cached", "usd_per_1m_output", "max_usd", "batch",
    "batch_price_factor", "batch_poll_s",
})  # fmt: skip
"""Parameters that change how it is asked and paid, never what is answered."""


@dataclass(frozen=True, slots=True)
class _Page:
    """A page on its way to where questions are asked."""

    run_dir: Path
    asked: PageAsked


class VisionAnalyzeStage(MapStage):
    """Writes what the text-layer analyst's stage writes, and `answers.jsonl`: which requests a page was read from."""

    name = "analyze"
    version = "1"
    requires = ("render", "regions")
    done_word = "analysed"
    device = True
    retries_itself = True
    own_batches = True
    live_metrics = ("usd", "input_tokens", "output_tokens")

    def __init__(self, params: DocparseParams, analyst: OpenAiParams) -> None:
        self._params = params
        self._analyst = analyst
        self.place = analyst.place
        self.secrets = () if analyst.api_key_env is None else (analyst.api_key_env,)
        self.batch_size = 1_000_000 if analyst.batch else PAGES_AT_ONCE * analyst.max_concurrency
        self._stop = threading.Event()
        self._asker: Asker | BatchAsker | None = None
        self._library: Any = None
        self._cap_usd: float | None = None
        self._purse: Purse | None = None

    def key_parts(self) -> Mapping[str, Any]:
        """Server, model, window, and what the model is told."""
        values = self._params.stage_values("analyst")["analyst"]
        kept = {name: value for name, value in values.items() if name not in NOT_IN_KEY}
        return {"analyst": kept, "prompt": prompt_digest()}

    def forecast(self, items: Sequence[Item], run_dir: Path) -> str | None:
        """Questions, tokens and dollars."""
        return forecast(self._analyst, items, run_dir)

    def setup(self) -> None:
        """Connect; raises StageCrash when the package or the key is missing, before any page is touched."""
        self._cap_usd = cap_of(self._analyst, os.environ)
        self._library = connect(self._analyst, os.environ)

    def interrupt(self) -> None:
        """Send nothing more."""
        self._stop.set()

    def teardown(self) -> None:
        """Close files and connections."""
        for each in (self._asker, self._purse, self._library):
            if each is not None:
                each.close()

    # in a worker: what is asked

    def prepare(self, task: Task) -> _Page:
        """The page's questions with their pictures."""
        run_dir, folder = task.site.run_dir, task.item.folder
        regions = read_regions(run_dir, folder)
        if not regions:
            return _Page(run_dir, PageAsked(()))
        pixels, text = read_page(run_dir, folder)
        plan = plan_page(regions, text, self._analyst)
        questions = tuple(self._asked(each, regions, pixels, run_dir) for each in plan.questions)
        return _Page(run_dir, PageAsked(questions))

    def _asked(self, question: Question, regions: Sequence[Region], pixels: Any, run_dir: Path) -> Asked:
        holder = regions[question.holder]
        numbered = {regions[part].number: regions[part].box for part in question.parts}
        png = encode_picture(draw_picture(pixels, holder.box, numbered, self._analyst.image_max_side_px))
        sha256 = hashlib.sha256(png).hexdigest()
        data: bytes | Path = png
        if self._analyst.batch:  # a whole run's pictures wait together: on disk, not in memory
            data = run_dir / FOLDER / "pictures" / f"{sha256}.png"
            data.parent.mkdir(parents=True, exist_ok=True)
            if not data.exists():
                write_atomic(data, png, sync_folder=False)
        tokens = image_bound(holder.box, holder.page_size_px, self._analyst)
        return Asked(
            holder.id, question.holder, question.alone, holder.number, tuple(regions[p].number for p in question.parts),
            question.text, Picture(sha256, data, tokens), question.words_not_shown,
        )  # fmt: skip

    # in one place: asking

    def process(self, batch: Sequence[_Page]) -> Sequence[PageTold]:
        """Ask about pages; raises StageCrash when no question can be answered any more."""
        if self._asker is None:
            self._asker = self._make_asker(batch[0].run_dir)
        try:
            told = self._asker.ask([page.asked for page in batch])
        except Interrupted as stopped:
            return [PageTold(error=stopped) for _ in batch]
        for picture in {question.picture.data for page in batch for question in page.asked.questions}:
            if isinstance(picture, Path):  # drawn for a batch, which is over; a page that is open draws it again
                picture.unlink(missing_ok=True)
        return told

    def _make_asker(self, run_dir: Path) -> Asker | BatchAsker:
        answers = AnswerFolder(run_dir)
        self._purse = Purse(self._analyst, answers, self._cap_usd, self._stop)
        if self._analyst.batch:
            return BatchAsker(self._analyst, self._library, answers, self._purse, self._stop)
        client = Client(self._analyst, self._library, answers, self._purse, self._stop)
        return Asker(self._analyst, client, self._stop)

    # in a worker: what is written

    def finish(self, task: Task, result: PageTold) -> Output:
        """Write a page's analyses; raises the error that keeps the page from having any."""
        if result.error is not None:
            raise result.error
        regions = read_regions(task.site.run_dir, task.item.folder)
        text = read_text(task.site.run_dir, task.item.folder)
        plan = plan_page(regions, text, self._analyst) if regions else PagePlan((), {})
        talks = [
            (self._reasked(question, regions), told) for question, told in zip(plan.questions, result.told, strict=True)
        ]
        reading = read_told(regions, text, talks, plan.not_asked)
        told, facts, dropped = write_analyses(task.writer, regions, reading.analyses, text)
        task.writer.write("answers.jsonl", b"".join(_answer_line(asked, each) for asked, each in talks), "answers")
        metrics: dict[str, float] = {
            "facts": facts,
            "facts_without_evidence": dropped + reading.facts_without_evidence,
            "facts_unverifiable": reading.facts_unverifiable,
            "regions_refused": reading.refused,
            "regions_not_asked": len(plan.not_asked),
            "kinds_disputed": reading.kinds_disputed,
            "words_not_shown": sum(asked.words_not_shown for asked, _ in talks),
            "requests": sum(len(each.requests) for _, each in talks),
            "input_tokens": sum(each.input_tokens for _, each in talks),
            "cached_tokens": sum(each.cached_tokens for _, each in talks),
            "output_tokens": sum(each.output_tokens for _, each in talks),
            "usd": sum(each.usd or 0.0 for _, each in talks),
        }
        data: dict[str, Any] = {"regions": told}
        if talks and all(each.refusal is not None for _, each in talks):
            data["reason"] = f"{self._analyst.model} refused: {talks[0][1].refusal}"
            return Output(data, "rejected", metrics)
        return Output(data, metrics=metrics)

    def _reasked(self, question: Question, regions: Sequence[Region]) -> Asked:
        """The question without its picture, which nobody needs any more."""
        holder = regions[question.holder]
        return Asked(
            holder.id, question.holder, question.alone, holder.number, tuple(regions[p].number for p in question.parts),
            question.text, Picture("", b"", 0), question.words_not_shown,
        )  # fmt: skip


def _answer_line(asked: Asked, told: Told) -> bytes:
    """Which answers in the run's folder `answers/` a region's analysis was made of, and what they cost."""
    line = {
        "region": asked.region_id, "number": asked.region_number, "parts": asked.part_numbers,
        "requests": told.requests, "refusal": told.refusal, "words_not_shown": asked.words_not_shown,
        "input_tokens": told.input_tokens, "cached_tokens": told.cached_tokens, "output_tokens": told.output_tokens,
        "usd": told.usd,
    }  # fmt: skip
    return orjson.dumps(line) + b"\n"
