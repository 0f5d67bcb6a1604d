"""Asking about many pages by the Batch API: files of requests, about half the price, an answer within a day.

A batch has a name of our own, on disk before it is sent and in its metadata on the server. After a crash in between,
the server is asked for a batch of that name before another one is sent; what it answered is kept like any answer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from pipeline.core.errors import Interrupted, PipelineError, StageCrash
from pipeline.core.files import LineFile, read_lines
from pipeline.core.server_faults import RETRIED
from pipeline.docparse.vlm.answers import Answer, AnswerFolder
from pipeline.docparse.vlm.asking import PageAsked, PageTold, page_told
from pipeline.docparse.vlm.bodies import Ask, endpoint, hear
from pipeline.docparse.vlm.client import FIRST_PAUSE_S, QuestionRefused, ServerBusy
from pipeline.docparse.vlm.faults import fault_of
from pipeline.docparse.vlm.params import OpenAiParams
from pipeline.docparse.vlm.spending import CapReached, Purse
from pipeline.docparse.vlm.talk import Told, talk

if TYPE_CHECKING:
    import openai

MAX_REQUESTS = 50_000
MAX_FILE_BYTES = 190_000_000
"""OpenAI takes 50,000 requests and 200 MB a file."""
FILE = "batches.jsonl"
NAME_KEY = "spotter_batch"
"""Where the name stands in a batch's metadata."""
ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
SLOWEST_POLL = 10.0
"""Polls come more seldom with time, down to one in so many `batch_poll_s`."""
LOOKS = 3
"""So often, `batch_poll_s` apart, a batch that may have been made is looked for: a list may lag behind."""
ADOPT_WITHIN_S = 26 * 3600.0
"""A batch of ours is looked for among those of so long before; after a day it is over in any case."""


@dataclass(slots=True)
class _Batch:
    """One batch as the file has it: its last line wins."""

    name: str
    tickets: dict[str, int] = field(default_factory=dict)
    """Key of a request → its reservation."""
    batch_id: str | None = None
    over: bool = False
    begun_at: float = 0.0


class BatchAsker:
    """Asks by batches, round after round, until every talk is over."""

    def __init__(
        self, params: OpenAiParams, library: openai.OpenAI, answers: AnswerFolder, purse: Purse, stop: threading.Event
    ) -> None:
        self._params = params
        self._library = library
        self._answers = answers
        self._purse = purse
        self._stop = stop
        path = answers.path / FILE
        self._batches = self._read(path)
        self._lines = LineFile(path)
        self._refused: dict[str, PipelineError] = {}

    def _read(self, path: Path) -> dict[str, _Batch]:
        batches: dict[str, _Batch] = {}
        for line in read_lines(path):
            batch = batches.setdefault(line["name"], _Batch(line["name"]))
            batch.tickets = line.get("tickets", batch.tickets)
            batch.batch_id = line.get("batch_id", batch.batch_id)
            batch.over = line.get("over", batch.over)
            batch.begun_at = line.get("begun_at", batch.begun_at)
        for batch in batches.values():
            if not batch.over:
                for ticket in batch.tickets.values():
                    self._purse.fly_again(ticket)
        return batches

    def ask(self, pages: Sequence[PageAsked]) -> list[PageTold]:
        """One result per page, in order.

        Raises:
            StageCrash: nothing can be answered any more; what was answered is kept.
        """
        results: list[list[Told | PipelineError | None]] = [[None] * len(page.questions) for page in pages]
        talks: dict[tuple[int, int], tuple[Generator[Ask, Answer, Told], Ask]] = {}
        for at_page, page in enumerate(pages):
            for at, asked in enumerate(page.questions):
                conversation = talk(asked, self._params)
                talks[at_page, at] = (conversation, next(conversation))
        while talks:
            self._answer_all([ask for _, ask in talks.values()])
            for place, (conversation, ask) in list(talks.items()):
                following = self._go_on(conversation, ask)
                if isinstance(following, Ask):
                    talks[place] = (conversation, following)
                else:
                    results[place[0]][place[1]] = following
                    del talks[place]
        return [page_told([each for each in page if each is not None]) for page in results]

    def _go_on(self, conversation: Generator[Ask, Answer, Told], ask: Ask) -> Ask | Told | PipelineError:
        """The talk's next request, what came of it, or why nothing does."""
        while (answer := self._answers.find(ask.key)) is not None:
            try:
                ask = conversation.send(answer)
            except StopIteration as end:
                told: Told = end.value
                return told
            except PipelineError as error:
                return error
        return self._refused.get(ask.key, ask)

    # one round

    def _answer_all(self, asks: Sequence[Ask]) -> None:
        """Until each of these has an answer on disk, or is known to get none.

        Raises:
            StageCrash, Interrupted
        """
        for batch in [each for each in self._batches.values() if not each.over]:
            self._finish(batch)
        missing = {ask.key: ask for ask in asks if self._is_open(ask)}
        while missing:
            batch = self._send(list(missing.values()))
            self._finish(batch)
            before = len(missing)
            missing = {key: ask for key, ask in missing.items() if self._is_open(ask)}
            if len(missing) == before and not batch.tickets.keys() - missing.keys():
                for key in batch.tickets:
                    self._refused[key] = ServerBusy(f"batch {batch.batch_id} answered nothing: resume later")
                missing = {key: ask for key, ask in missing.items() if key not in batch.tickets}

    def _is_open(self, ask: Ask) -> bool:
        return ask.key not in self._refused and self._answers.find(ask.key) is None

    def _send(self, asks: Sequence[Ask]) -> _Batch:
        """Send as many as one file holds and the cap allows.

        Raises:
            CapReached: it allows none.
        """
        from ulid import ULID

        if self._stop.is_set():
            raise Interrupted("stopped before the batch was sent")
        batch = _Batch(str(ULID()).lower(), begun_at=time.time())
        path = self._answers.path / f"batch-{batch.name}.jsonl"
        size = 0
        with path.open("wb") as file:
            for ask in asks[:MAX_REQUESTS]:
                line = orjson.dumps(_request(ask, self._params)) + b"\n"
                if size and size + len(line) > MAX_FILE_BYTES:
                    break
                try:
                    batch.tickets[ask.key] = self._purse.reserve(ask.key, ask.input_bound, ask.output_bound, wait=False)
                except CapReached:
                    if not batch.tickets:
                        path.unlink()
                        raise
                    break
                file.write(line)
                size += len(line)
        self._batches[batch.name] = batch
        self._note(batch)
        try:
            uploaded = self._try(lambda: self._library.files.create(file=path, purpose="batch"))
            self._create(batch, uploaded.id)
        finally:
            path.unlink(missing_ok=True)
        return batch

    def _create(self, batch: _Batch, file_id: str) -> None:
        """Send a batch whose file is there.

        A create without an answer may have been made: it is looked for, by its name, before it is sent again.
        """
        for attempt in range(self._params.tries):
            made = self._call(
                lambda: self._library.batches.create(
                    input_file_id=file_id, endpoint=endpoint(self._params), completion_window="24h",
                    metadata={NAME_KEY: batch.name},
                )
            )  # fmt: skip
            problem = made if isinstance(made, Exception) else None
            if problem is not None:
                self._pause(attempt, problem)
                made = self._look_for(batch, looks=LOOKS if fault_of(problem, self._params).billed else 1)
            if made is not None:
                batch.batch_id = made.id
                self._note(batch)
                return
            assert problem is not None
            if fault_of(problem, self._params).verdict != "again" or attempt + 1 == self._params.tries:
                self._give_up(batch)
                raise _told(problem, self._params)

    def _look_for(self, batch: _Batch, *, looks: int = LOOKS) -> Any:
        """The batch of this name on the server, if it is there.

        Raises:
            StageCrash, Interrupted
        """

        def look() -> Any:
            for each in self._library.batches.list(limit=100):
                if (each.metadata or {}).get(NAME_KEY) == batch.name:
                    return each
                if each.created_at < batch.begun_at - ADOPT_WITHIN_S:
                    return None
            return None

        found = self._try(look)
        for _ in range(looks - 1):
            if found is not None:
                break
            if self._stop.wait(self._params.batch_poll_s):
                raise Interrupted("stopped while it was seen whether a batch was sent")
            found = self._try(look)
        return found

    def _finish(self, batch: _Batch) -> None:
        """Wait for a batch and keep what it answers."""
        if batch.batch_id is None:
            found = self._look_for(batch)
            if found is None:  # it was named, but never sent
                self._give_up(batch)
                return
            batch.batch_id = found.id
            self._note(batch)
        state = self._wait_for(batch)
        by_letters = {key[:KEY_LETTERS]: key for key in batch.tickets}
        for file_id in (state.output_file_id, state.error_file_id):
            if file_id:
                content = self._known(batch, lambda file_id=file_id: self._library.files.content(file_id).content)
                for line in content.splitlines():
                    self._take(batch, by_letters, line)
        if state.status == "failed":
            errors = (state.errors.data if state.errors else None) or []
            words = "; ".join(str(error.message) for error in errors[:3]) or "no reason given"
            self._give_up(batch)
            raise StageCrash(f"the server refused batch {batch.batch_id}: {words}. What was answered is kept")
        self._give_up(batch)

    def _wait_for(self, batch: _Batch) -> Any:
        pause_s = self._params.batch_poll_s
        while True:
            state = self._known(batch, lambda: self._library.batches.retrieve(batch.batch_id or ""))
            if state.status in ENDED:
                return state
            if self._stop.wait(pause_s):
                raise Interrupted(f"stopped while batch {batch.batch_id} is worked on: a resume goes on with it")
            pause_s = min(pause_s * 1.5, self._params.batch_poll_s * SLOWEST_POLL)

    def _known(self, batch: _Batch, call: Any) -> Any:
        """A call about a batch that was made; one that the server no longer knows is over, and counted as paid.

        Raises:
            StageCrash, Interrupted
        """
        import openai

        try:
            return self._try(call)
        except StageCrash as crash:
            if not isinstance(crash.__cause__, openai.NotFoundError):
                raise
            batch.over = True
            self._note(batch)
            raise StageCrash(
                f"the server knows batch {batch.batch_id} no more, or this is the key of another project: its "
                f"{len(batch.tickets)} questions stay counted as paid; --resume asks them anew, in another batch"
            ) from crash

    def _take(self, batch: _Batch, by_letters: Mapping[str, str], line: bytes) -> None:
        """Keep one line of a batch's output; one that names nothing of ours, or is torn, is passed over."""
        try:
            result = orjson.loads(line)
            key = by_letters[str(result["custom_id"]).rpartition("-")[2]]
            response = result.get("response") or {}
            status = int(response.get("status_code") or 0)
            said = response.get("body") or {}
            error = result.get("error") or (said.get("error") if status != 200 else None) or {}
        except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError, ValueError):
            return
        ticket = batch.tickets[key]
        if status == 200:
            heard = hear(self._params.api, said)
            if heard.status in ("failed", "odd"):
                self._refused[key] = ServerBusy(heard.text)
            else:
                self._answers.keep(key, ticket, said)
            self._purse.settle(ticket, self._purse.price_of(said))
            return
        self._purse.release(ticket)
        if not isinstance(error, Mapping):
            error = {"message": error}
        if error.get("code") == "batch_expired":
            return  # it is asked again, in the next batch
        words = f"{error.get('code') or status}: {error.get('message')}"
        busy = status in RETRIED or status >= 500 or status == 0
        self._refused[key] = ServerBusy(words) if busy else QuestionRefused(words)

    def _give_up(self, batch: _Batch) -> None:
        """Nothing more comes of this batch: what it did not answer was not charged."""
        for key, ticket in batch.tickets.items():
            if self._purse.is_open(ticket) and self._answers.find(key) is None:
                self._purse.release(ticket)
        batch.over = True
        self._note(batch)

    def _note(self, batch: _Batch) -> None:
        line: dict[str, Any] = {
            "name": batch.name, "tickets": batch.tickets, "begun_at": batch.begun_at, "over": batch.over,
        }  # fmt: skip
        if batch.batch_id is not None:
            line["batch_id"] = batch.batch_id
        self._lines.append([line], sync=True)

    # talking to the server

    def _try(self, call: Any) -> Any:
        """A call that may be made any number of times.

        Raises:
            StageCrash, Interrupted
        """
        for attempt in range(self._params.tries):
            result = self._call(call)
            if not isinstance(result, Exception):
                return result
            if fault_of(result, self._params).verdict != "again" or attempt + 1 == self._params.tries:
                break
            self._pause(attempt, result)
        raise _told(result, self._params) from result

    def _pause(self, attempt: int, error: Exception) -> None:
        pause_s = fault_of(error, self._params).pause_s
        pause_s = pause_s if pause_s is not None else FIRST_PAUSE_S * 2**attempt
        if self._stop.wait(min(pause_s, self._params.longest_pause_s)):
            raise Interrupted("stopped while the server did not answer")

    def _call(self, call: Any) -> Any:
        """Its result, or the library's error as a value."""
        import openai

        try:
            return call()
        except openai.APIError as error:
            return error

    def close(self) -> None:
        """Close the file."""
        self._lines.close()


def _told(error: Exception, params: OpenAiParams) -> StageCrash:
    fault = fault_of(error, params)
    return StageCrash(f"{fault.message}; what was answered is kept, --resume goes on")


KEY_LETTERS = 40
"""A custom id is a region's id and so many letters of the request's key; it may have 64."""


def _request(ask: Ask, params: OpenAiParams) -> Mapping[str, Any]:
    custom_id = f"{ask.region_id[:20]}-{ask.key[:KEY_LETTERS]}"
    return {"custom_id": custom_id, "method": "POST", "url": endpoint(params), "body": ask.full()}
