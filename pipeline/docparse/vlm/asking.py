"""Asking about many pages at once: each talk in a thread, all through one client and one purse."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pipeline.core.errors import PipelineError, StageCrash
from pipeline.docparse.vlm.client import Client
from pipeline.docparse.vlm.params import OpenAiParams
from pipeline.docparse.vlm.talk import Asked, Told, talk


@dataclass(frozen=True, slots=True)
class PageAsked:
    """All that is asked about one page."""

    questions: tuple[Asked, ...]


@dataclass(frozen=True, slots=True)
class PageTold:
    """What came of it: a `Told` for every question, or why the page cannot be had now."""

    told: tuple[Told, ...] = ()
    error: PipelineError | None = None


class Asker:
    """Asks one by one, `max_concurrency` at a time."""

    def __init__(self, params: OpenAiParams, client: Client, stop: threading.Event) -> None:
        self._params = params
        self._client = client
        self._stop = stop
        self._threads = ThreadPoolExecutor(params.max_concurrency, thread_name_prefix="analyst")

    def ask(self, pages: Sequence[PageAsked]) -> list[PageTold]:
        """One result per page, in order; a question that fails costs its own page only.

        Raises:
            StageCrash: nothing can be answered any more; what was answered is kept.
        """
        futures = [[self._threads.submit(self._talk, asked) for asked in page.questions] for page in pages]
        results = [[future.result() for future in page] for page in futures]
        crashes = [each for page in results for each in page if isinstance(each, StageCrash)]
        if crashes:
            raise crashes[0]
        return [page_told(page) for page in results]

    def _talk(self, asked: Asked) -> Told | PipelineError:
        conversation = talk(asked, self._params)
        try:
            ask = next(conversation)
            while True:
                ask = conversation.send(self._client.ask(ask))
        except StopIteration as end:
            told: Told = end.value
            return told
        except StageCrash as crash:
            self._stop.set()  # the other questions would fail alike, and may cost
            return crash
        except PipelineError as error:
            return error
        except OSError as error:  # the library has errors of its own: this is the disk that answers are kept on
            self._stop.set()
            return StageCrash(f"answers cannot be kept: {error}. Mend that, then go on with --resume: no more are paid")

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=True)


def page_told(results: Sequence[Told | PipelineError]) -> PageTold:
    """A page with all of its answers, or with the error that matters most: one that a later session may mend."""
    errors = [each for each in results if isinstance(each, PipelineError)]
    if errors:
        return PageTold(error=min(errors, key=lambda error: (not _may_mend(error), str(error))))
    return PageTold(tuple(each for each in results if isinstance(each, Told)))


def _may_mend(error: PipelineError) -> bool:
    from pipeline.core.errors import is_retryable

    return is_retryable(error)
