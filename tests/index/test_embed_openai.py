"""Embedding by a server that speaks as OpenAI's does, over real HTTP and by its real client."""

from __future__ import annotations

import io
import logging
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from index.embed import Priced, available_embedders, embedder, embedder_for_space
from index.embedders.cache import FILE, FOLDER
from index.embedders.pieces import pieces, requests_of
from index.errors import EmbedderUnavailable, IndexCorrupt, TextsRefused, UnknownEmbedder
from index.provider import CapReached, ProviderBusy, ProviderRefused, Purse, QuotaExhausted
from index.query_vectors import QueryVectors
from index.servers import ServersWrong, read_servers
from tests.index.model_server import KEY, ModelServer, serving, vector_of

TEXTS = [f"Block {at} of the value stack" for at in range(40)]


@pytest.fixture
def there() -> Iterator[ModelServer]:
    with serving() as server:
        yield server


@pytest.fixture
def workspace(there: ModelServer, tmp_path: Path) -> Path:
    return there.workspace(tmp_path)


def embed(workspace: Path, texts: list[str] = TEXTS, cap_usd: float | None = None) -> np.ndarray:
    return embedder("there/tiny", workspace, Purse(cap_usd)).embed(texts, kind="doc")


def expected(texts: list[str] = TEXTS) -> np.ndarray:
    return np.stack([vector_of(text) for text in texts])


def test_every_text_gets_its_own_vector_of_length_one(there, workspace):
    matrix = embed(workspace, [*TEXTS, TEXTS[0]])
    assert matrix.dtype == np.float32
    assert np.allclose(matrix, expected([*TEXTS, TEXTS[0]]), atol=1e-6)
    assert sorted(there.asked()) == sorted(TEXTS)  # the text that came twice was asked for once
    assert there.keys == {f"Bearer {KEY}"}


def test_several_requests_are_under_way_at_once(there, workspace):
    there.delay_s = 0.2
    embed(workspace, [f"text {at}" for at in range(200)])
    assert 2 <= there.most_at_once <= 6


def test_openai_is_asked_for_base64_by_its_own_name_and_space(there, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    (tmp_path / "spotter.toml").write_text(
        f'[providers.openai]\nbase_url = "{there.url}"\n'
        '[providers.openai.embeddings.text-embedding-3-large]\ndim = 16\nusd_per_1m_tokens = 0.13\n'
        'max_input_tokens = 8192\nsend_dimensions = true\nencoding = "base64"\n', "utf-8",
    )  # fmt: skip
    assert np.allclose(
        embedder("openai/text-embedding-3-large", tmp_path).embed(TEXTS[:3], kind="doc"), expected(TEXTS[:3]), atol=1e-6
    )
    assert there.requests[0]["encoding_format"] == "base64"
    assert there.requests[0]["dimensions"] == 16
    assert embedder("openai/text-embedding-3-small").space.id == "openai/text-embedding-3-small/1536/v1"
    assert embedder("openai/text-embedding-3-large").space.id == "openai/text-embedding-3-large/3072/v1"
    with pytest.raises(UnknownEmbedder, match="of the space openai/text-embedding-3-large/16/v1"):
        embedder_for_space("openai/text-embedding-3-large/3072/v1", tmp_path)


def test_what_was_embedded_once_is_never_asked_for_again(there, workspace):
    first = embed(workspace)
    asked = len(there.requests)
    assert embed(workspace).tobytes() == first.tobytes()
    assert len(there.requests) == asked
    decomposed = "Cafe\u0301"
    embed(workspace, ["Café"])
    asked = len(there.requests)
    embed(workspace, [decomposed])  # the same text in NFC
    assert len(there.requests) == asked
    embedder("there/tiny", workspace).embed(["Café"], kind="query")  # a query is another kind
    assert len(there.requests) == asked + 1


def test_after_a_failure_only_what_was_not_answered_is_asked_for(there, workspace):
    there.script = ["ok", "ok", "401"]
    with pytest.raises(ProviderRefused, match="Check the key in THERE_API_KEY"):
        embed(workspace, [f"text {at}" for at in range(96)])
    answered = sum(len(body["input"]) for body, how in zip(there.requests, there.outcomes, strict=True) if how == "ok")
    assert answered >= 32
    there.requests.clear()
    embed(workspace, [f"text {at}" for at in range(96)])
    assert len(there.asked()) == 96 - answered


@pytest.mark.parametrize(
    "fault", ["500", "429", "bad-json", "half", "short", "twice", "wrong-dim", "nan", "zero", "words", "hang"]
)
def test_a_broken_answer_is_asked_for_again_and_never_believed(there, tmp_path, fault):
    if fault == "hang":
        there.timeout_s, there.tries = 3.0, 20
    workspace = there.workspace(tmp_path, "max_concurrency = 1")
    there.script = [fault]
    assert np.allclose(embed(workspace, TEXTS[:4]), expected(TEXTS[:4]), atol=1e-6)
    assert there.outcomes[:2] == [fault, "ok"]


def test_vectors_in_another_order_find_their_texts(there, workspace):
    there.always = "shuffled"
    assert np.allclose(embed(workspace), expected(), atol=1e-6)


def test_a_model_of_another_length_is_told_and_where_to_mend_it(there, workspace):
    there.always = "wrong-dim"
    with pytest.raises(ProviderBusy, match="a vector of 2 numbers where 16 were to come: see dim"):
        embed(workspace, TEXTS[:2])


def test_a_server_that_asks_to_be_left_alone_is(there, workspace):
    there.script = ["429-after"]
    embed(workspace, TEXTS[:2])
    assert there.times[1] - there.times[0] >= 0.2


def test_limits_that_were_set_are_kept(there, tmp_path):
    workspace = there.workspace(tmp_path, "requests_per_minute = 600\nmax_inputs = 4\nmax_concurrency = 8")
    embed(workspace, [f"text {at}" for at in range(320)])  # 80 requests; 60 may come at once, then 10 a second
    assert there.times[-1] - there.times[0] >= 1.0
    assert max(len(body["input"]) for body in there.requests) <= 4


def test_requests_keep_to_every_limit_for_any_texts():
    texts = ["я" * size for size in (1, 400, 40, 149, 500, 2, 3, 4)]
    groups = list(requests_of(texts, 3, 1000))
    assert [text for group in groups for text in group] == texts
    assert all(len(group) <= 3 and sum(len(text.encode()) for text in group) <= 1000 for group in groups)


def test_a_long_text_is_embedded_in_pieces_that_leave_nothing_out(there, workspace):
    text = "\n\n".join(f"Абзац {at}. " + "слово " * 90 for at in range(20))
    matrix = embed(workspace, [text])
    asked = there.asked()
    assert len(asked) > 1
    assert max(len(each.encode()) for each in asked) <= 8192
    assert "".join("".join(sorted(asked, key=text.find)).split()) == "".join(text.split())
    mean = sum(len(each.encode()) * vector_of(each).astype(np.float64) for each in asked)
    assert np.allclose(matrix[0], mean / np.linalg.norm(mean), atol=1e-5)
    assert embed(workspace, [text]).tobytes() == matrix.tobytes()


@pytest.mark.parametrize("text", ["я" * 1000, "one two " * 99, "a\n\n" * 300, "🙂" * 50 + " " + "é" * 120, "x"])
def test_pieces_hold_every_letter_and_fit(text):
    cut = pieces(text, 64)
    assert all(len(piece.encode()) <= 64 for piece in cut)
    assert "".join("".join(cut).split()) == "".join(text.split())


def test_a_text_that_is_not_taken_is_named_and_the_others_are_kept(there, workspace):
    there.refuses = "forbidden"
    texts = [*TEXTS[:10], "a forbidden thing", *TEXTS[10:20]]
    with pytest.raises(TextsRefused, match=r"number 11: .*against our rules") as refusal:
        embed(workspace, texts)
    assert set(refusal.value.reasons) == {10}
    there.requests.clear()
    embed(workspace, TEXTS[:20])
    assert there.requests == []


def test_a_server_that_takes_nothing_is_not_asked_about_every_text(there, workspace):
    there.refuses = ""
    with pytest.raises(ProviderRefused, match="refuses every text"):
        embed(workspace, [f"text {at}" for at in range(300)])
    assert len(there.requests) < 120


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ("quota", QuotaExhausted, "Add credit"),
        ("404", ProviderRefused, r"base_url of \[providers.there\]"),
        ("401", ProviderRefused, "Check the key in THERE_API_KEY"),
        ("moved", ProviderRefused, "307"),
        ("unknown-parameter", ProviderRefused, "does not take this"),
        ("long-complaint", ProviderRefused, "does not take this"),
    ],
)
def test_what_only_the_operator_can_mend_is_one_sentence_and_not_asked_again(there, workspace, fault, error, words):
    there.always = fault
    with pytest.raises(error, match=words):
        embed(workspace, TEXTS[:4])
    assert len(there.requests) == 1


def test_a_server_that_is_not_there_is_told_with_its_address(tmp_path):
    (tmp_path / "spotter.toml").write_text(
        '[providers.gone]\nbase_url = "http://127.0.0.1:9/v1"\ntries = 2\nlongest_pause_s = 0.01\n'
        "[providers.gone.embeddings.tiny]\ndim = 4\nusd_per_1m_tokens = 0\nmax_input_tokens = 8192\n", "utf-8",
    )  # fmt: skip
    with pytest.raises(ProviderRefused, match=r"no connection to http://127.0.0.1:9/v1"):
        embedder("gone/tiny", tmp_path).embed(["a"], kind="doc")


def test_a_missing_key_names_both_ways_out_and_nothing_is_tried(there, workspace, monkeypatch):
    monkeypatch.delenv("THERE_API_KEY", raising=False)
    (workspace / ".env").unlink()
    with pytest.raises(EmbedderUnavailable) as missing:
        embedder("there/tiny", workspace)
    assert "THERE_API_KEY" in str(missing.value)
    assert 'embedder = "offline/hash3072-stem-char4"' in str(missing.value)
    assert there.requests == []


@pytest.mark.parametrize("key", ["sk one two", "sk-ключ", "sk-a\nsk-b"])
def test_what_is_no_key_is_refused_without_being_said(workspace, monkeypatch, key):
    monkeypatch.setenv("THERE_API_KEY", key)
    with pytest.raises(EmbedderUnavailable, match="holds is no key") as refused:
        embedder("there/tiny", workspace)
    assert key not in str(refused.value)


def test_an_env_file_that_others_may_read_is_refused(workspace, monkeypatch):
    monkeypatch.delenv("THERE_API_KEY", raising=False)
    (workspace / ".env").chmod(0o644)
    with pytest.raises(EmbedderUnavailable, match="chmod 600"):
        embedder("there/tiny", workspace)


def test_the_key_reaches_no_error_log_or_file(there, workspace):
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    logging.getLogger().addHandler(handler)
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.DEBUG)
    try:
        embed(workspace, TEXTS[:2])
        there.always = "401"  # a server that repeats the key it refuses
        with pytest.raises(ProviderRefused) as refused:
            embed(workspace, TEXTS[2:4])
    finally:
        logging.getLogger().removeHandler(handler)
        logging.getLogger().setLevel(level)
    told = "".join(traceback.format_exception(refused.value))
    assert KEY not in told + written.getvalue() + repr(vars(embedder("there/tiny", workspace)))
    kept = [path for path in workspace.rglob("*") if path.is_file() and path.name != ".env"]
    assert any(path.name == FILE for path in kept)
    assert all(KEY.encode() not in path.read_bytes() for path in kept)


@pytest.mark.parametrize("always", [None, "hang", "half", "bad-json", "no-usage", "429", "short"])
def test_the_cap_holds_whatever_the_server_does(there, tmp_path, always):
    there.timeout_s = 0.3 if always == "hang" else 60.0
    workspace = there.workspace(tmp_path, "max_inputs = 16\nmax_concurrency = 4")
    there.always = always
    texts = [f"text {at} " + "слово " * 40 for at in range(400)]
    at_most = sum(len(text.encode()) for text in texts) * there.usd_per_1m / 1e6
    purse = Purse(at_most / 10)
    with pytest.raises((CapReached, ProviderBusy)):
        embedder("there/tiny", workspace, purse).embed(texts, kind="doc")
    assert there.billed_usd <= purse.cap_usd
    assert purse.spent.usd <= purse.cap_usd
    assert there.billed_usd <= purse.spent.usd + 1e-12


def test_what_was_paid_within_the_cap_is_kept_for_a_higher_one(there, tmp_path):
    workspace = there.workspace(tmp_path, "max_inputs = 16\nmax_concurrency = 2")
    texts = [f"text {at} " + "слово " * 40 for at in range(300)]
    with pytest.raises(CapReached, match=r"go on with a higher --max-usd"):
        embed(workspace, texts, sum(len(text.encode()) for text in texts) * there.usd_per_1m / 1e6 / 6)
    before = len(there.asked())
    assert 0 < before < 300
    embed(workspace, texts)
    assert len(there.asked()) == 300


def test_an_estimate_bounds_the_bill_and_asks_nobody(there, workspace):
    chosen = embedder("there/tiny", workspace)
    assert isinstance(chosen, Priced)
    chosen.embed(TEXTS[:10], kind="doc")
    asked, paid = len(there.requests), there.billed_usd
    ahead = chosen.estimate(chosen.missing([*TEXTS, *TEXTS], kind="doc"))
    assert len(there.requests) == asked
    assert (ahead.texts, ahead.cached) == (40, 10)
    chosen.embed(TEXTS, kind="doc")
    assert there.billed_usd - paid <= ahead.usd_at_most
    assert there.billed_usd - paid == pytest.approx(ahead.usd_about, rel=0.2)
    assert chosen.purse.spent.usd == pytest.approx(there.billed_usd)


def test_a_query_is_known_to_be_missing_until_it_was_fetched(there, workspace):
    vectors = QueryVectors(embedder("there/tiny", workspace))
    assert vectors.at_once("value stack") is None
    assert there.requests == []
    fetched = vectors.fetch("value stack")
    assert np.array_equal(vectors.at_once("value stack"), fetched)
    another_process = QueryVectors(embedder("there/tiny", workspace))
    assert np.array_equal(another_process.at_once("value stack"), fetched)
    assert len(there.requests) == 1


def test_many_queries_are_fetched_together_and_each_once(there, workspace):
    vectors = QueryVectors(embedder("there/tiny", workspace))
    vectors.fetch("layers")
    there.requests.clear()
    vectors.warm(["layers", "blocks", "stack", "blocks", " "])
    assert there.asked() == ["blocks", "stack"]
    assert len(there.requests) == 1
    assert np.allclose(vectors.at_once("stack"), vector_of("stack"), atol=1e-6)


def test_queries_of_an_embedder_without_network_are_there_at_once():
    vectors = QueryVectors(embedder("offline/hash3072-stem-char4"), capacity=2)
    for query in ("слои", "layers", "blocks"):
        assert vectors.at_once(query) is not None
    assert len(vectors._kept) == 2


def test_threads_and_processes_share_one_cache(there, workspace):
    failures: list[BaseException] = []

    def work(first: int) -> None:
        try:
            embed(workspace, TEXTS[first : first + 30])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 5, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    there.requests.clear()
    embed(workspace)
    assert there.requests == []


def test_a_damaged_cache_is_said_and_not_believed(there, workspace):
    embed(workspace, TEXTS[:2])
    path = workspace / FOLDER / FILE
    for beside in path.parent.glob(f"{FILE}-*"):
        beside.unlink()
    path.write_bytes(b"no database at all" * 500)
    with pytest.raises(IndexCorrupt, match="delete it"):
        embed(workspace, TEXTS[:2])


def test_servers_are_told_by_file_and_environment_and_errors_name_the_key(tmp_path, monkeypatch):
    assert set(available_embedders()) >= {"offline/hash3072-stem-char4", "openai/text-embedding-3-large"}
    file = tmp_path / "spotter.toml"
    file.write_text('[providers.near]\nbase_url = "http://127.0.0.1:1/v1"\ntries = 2\n', "utf-8")
    monkeypatch.setenv("SPOTTER_PROVIDERS__NEAR__TRIES", "3")
    assert read_servers(tmp_path)["near"].tries == 3
    monkeypatch.delenv("SPOTTER_PROVIDERS__NEAR__TRIES")
    for text, words in (
        ("[providers.near]\nbase_url = 'http://a/v1'\ntrys = 2\n", r"providers\.near\.trys: unknown key"),
        ("[providers.near]\ntries = 2\n", "has no address"),
        ("[providers.offline]\nbase_url = 'http://a/v1'\n", "can't be called so"),
        ("[providers.near]\nbase_url = 'http://a/v1'\nkey_env = 'A_KEY'\n", "unencrypted"),
        ("[providers.near]\nbase_url = 'http://me:secret@a/v1'\n", "base_url"),
        ("[providers.near]\nbase_url = 'http://a/v1'\n[providers.near.embeddings.m]\ndim = 3\n", "usd_per_1m_tokens"),
        (
            "[providers.near]\nbase_url = 'http://a'\n[providers.near.embeddings.m]\ndim = 3\nusd_per_1m_tokens = 0\n",
            "max_input_tokens",
        ),
        ("[providers\n", "is not TOML"),
    ):
        file.write_text(text, "utf-8")
        with pytest.raises(ServersWrong, match=words) as wrong:
            read_servers(tmp_path)
        assert "secret" not in str(wrong.value)
