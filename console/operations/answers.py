"""Answers: a question to the workspace's index, and to the model of its settings if one is named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.errors import WrongInput
from console.operations.search import open_searcher
from console.operations.session import Session

if TYPE_CHECKING:
    from index.answers.answer import Answer


def answer(
    session: Session,
    question: str,
    *,
    model: str | None = None,
    max_usd: float | None = None,
    types: Sequence[str] = (),
    documents: Sequence[str] = (),
) -> Answer:
    """What the index supports as an answer.

    Args:
        session: whose workspace and settings.
        question: in the language of searches.
        model: instead of the one of the settings; empty: the best passages.
        max_usd: what it may cost; by default as the settings say, where prices are known.
        types: only records of these types.
        documents: only records of these documents.

    Raises:
        NothingParsed: the index is empty or missing.
        index.errors.IndexProblem: the index can't be read, or the model can't be asked.
    """
    from index.answers.answer import answer as answer_from
    from index.chat import chat_model
    from index.provider import Purse

    said, root = session.settings.answers, session.workspace.root
    name = said.model if model is None else model
    chat = None
    if name:
        usual_usd = said.max_usd if chat_model(name, root).provider.priced else None
        chat = chat_model(name, root, Purse(usual_usd if max_usd is None else max_usd))
    with open_searcher(session.workspace) as searcher:
        return answer_from(
            question, searcher, root, chat,
            passages=said.passages, context_tokens=said.context_tokens, types=types, documents=documents,
        )  # fmt: skip


def check_writable(out: Path) -> None:
    """See that an answer can be written there, before anybody is paid for it.

    Raises:
        WrongInput: it cannot.
    """
    from tempfile import TemporaryFile

    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out.parent):
            pass
    except OSError as error:
        raise WrongInput(f"{out} cannot be written ({error.strerror}): name another --out.") from error
    if out.is_dir():
        raise WrongInput(f"{out} is a folder: name a file.")


def write_answer(found: Answer, out: Path) -> None:
    """Write an answer as JSON, whole or not at all.

    Raises:
        WrongInput: the file cannot be written.
    """
    from dataclasses import asdict

    import orjson

    from pipeline.core.files import write_atomic

    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(out, orjson.dumps(asdict(found)) + b"\n")
    except OSError as error:
        raise WrongInput(f"{out} cannot be written ({error.strerror}): name another --out.") from error


def read_answer(path: Path) -> dict[str, Any] | None:
    """What `write_answer` wrote; None while it is not there.

    Raises:
        WrongInput: it is no answer.
    """
    import orjson

    try:
        told = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, orjson.JSONDecodeError) as error:
        raise WrongInput(f"{path} holds no answer: {error}") from error
    if not isinstance(told, dict) or "verdict" not in told:
        raise WrongInput(f"{path} holds no answer.")
    return told
