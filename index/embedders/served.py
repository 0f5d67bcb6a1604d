"""Embeddings by a server that speaks as OpenAI's does: from the cache, or in several requests at once."""

from __future__ import annotations

import base64
import binascii
import math
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from index.embed import Space
from index.embedders.cache import VectorCache, content_key
from index.embedders.costs import REQUEST_S, USUAL_REQUEST, Estimate, Missing
from index.embedders.pieces import normal, pieces, requests_of, tokens_about, tokens_at_most
from index.errors import BadVector, TextsRefused, UnknownEmbedder
from index.provider import Bound, InputRefused, OddAnswer, Provider, ProviderRefused, Purse, Stopped, named_server
from index.servers import EmbeddingModel, Server, read_key

if TYPE_CHECKING:
    import openai

    from index.embed import Matrix

PREP = "v1"
"""How texts are prepared: in NFC; a long one in pieces, whose mean weighted by bytes stands for it."""
SMALLEST_REQUEST = 16
"""Texts; fewer are not worth a request of their own."""
REFUSED_IN_A_ROW = 5
"""So many texts refused, and none taken: it is not the texts."""


class ServedEmbedder:
    """A model of a server, as an `Embedder`."""

    label: Literal["semantic"] = "semantic"
    network = True

    def __init__(self, provider: Provider, model: EmbeddingModel, cache: VectorCache) -> None:
        self.space = Space(provider.name, provider.model, model.dim, PREP)
        self.noise_cosine = model.noise_cosine
        self.pieced = 0
        """Texts that were embedded in pieces so far."""
        self._provider = provider
        self._model = model
        self._cache = cache
        self._piece_bytes = min(model.max_input_tokens, provider.server.max_request_tokens)
        self._lock = threading.Lock()
        self._taken = False
        self._refused_in_a_row = 0

    @property
    def purse(self) -> Purse:
        """What was spent."""
        return self._provider.purse

    def embed(self, texts: Sequence[str], *, kind: Literal["doc", "query"]) -> Matrix:
        """Embed texts; what the cache holds is not asked for, and every answered request is kept in it at once.

        Raises:
            ValueError: a text is empty or only white space.
            TextsRefused: the server does not take some of them.
            IndexProblem: as `Provider.ask`; what was answered is kept.
        """
        import numpy as np

        if not all(text.strip() for text in texts):
            raise ValueError("a text of white space has no vector")
        cut = [pieces(normal(text), self._piece_bytes) for text in texts]
        keys = {piece: content_key(self.space.id, kind, piece) for parts in cut for piece in parts}
        found = self._cache.find(list(keys.values()))
        wanted = [piece for piece, key in keys.items() if key not in found]
        refused: dict[str, str] = {}
        if wanted:
            found |= self._fetch(wanted, keys, refused)
        if refused:
            raise TextsRefused(
                {place: refused[part] for place, parts in enumerate(cut) for part in parts if part in refused}
            )
        self.pieced += sum(len(parts) > 1 for parts in cut)
        if not texts:
            return np.empty((0, self.space.dim), dtype=np.float32)
        return np.stack([_joined([(part, found[keys[part]]) for part in parts]) for parts in cut])

    def remembered(self, query: str) -> Matrix | None:
        """The vector of a query that was embedded before, (dim,); None: it would have to be asked for."""
        parts = pieces(normal(query), self._piece_bytes)
        keys = [content_key(self.space.id, "query", part) for part in parts]
        found = self._cache.find(keys)
        if not parts or len(found) < len(set(keys)):
            return None
        return _joined([(part, found[key]) for part, key in zip(parts, keys, strict=True)])

    def missing(self, texts: Sequence[str], *, kind: Literal["doc", "query"]) -> Missing:
        """What of these texts would have to be asked for; equal texts count once."""
        cut = [pieces(normal(text), self._piece_bytes) for text in dict.fromkeys(texts)]
        keys = {piece: content_key(self.space.id, kind, piece) for parts in cut for piece in parts}
        known = self._cache.known(list(keys.values()))
        wanted = {piece for piece, key in keys.items() if key not in known}
        cached = sum(all(part not in wanted for part in parts) for parts in cut)
        return Missing(len(cut), cached, len(wanted), sum(tokens_at_most(piece) for piece in wanted))

    def estimate(self, missing: Missing) -> Estimate:
        """What that costs, and how long it takes at the limits that are set."""
        server = self._provider.server
        tokens = tokens_about(missing.bytes)
        at_once = min(USUAL_REQUEST, server.max_inputs)
        requests = max(math.ceil(missing.pieces / at_once), math.ceil(missing.bytes / server.max_request_tokens))
        seconds = [requests * REQUEST_S / min(server.max_concurrency, max(1, requests))]
        if server.requests_per_minute is not None:
            seconds.append(requests * 60 / server.requests_per_minute)
        if server.tokens_per_minute is not None:
            seconds.append(tokens * 60 / server.tokens_per_minute)
        return Estimate(
            f"{self.space.provider}/{self.space.model}", missing.texts, missing.cached, tokens, missing.bytes,
            self._provider.usd(tokens) or 0.0, self._provider.usd(missing.bytes) or 0.0, max(seconds),
        )  # fmt: skip

    def _fetch(self, wanted: Sequence[str], keys: dict[str, bytes], refused: dict[str, str]) -> dict[bytes, Matrix]:
        """Ask for pieces, several requests at once; those that the server does not take go to `refused`."""
        server = self._provider.server
        share = max(SMALLEST_REQUEST, math.ceil(len(wanted) / server.max_concurrency))
        groups = list(requests_of(wanted, min(share, server.max_inputs), server.max_request_tokens))
        stop = threading.Event()
        found: dict[bytes, Matrix] = {}
        if len(groups) == 1:
            self._ask(groups[0], keys, found, refused, stop)
            return found
        failures: list[BaseException] = []

        def work(group: list[str]) -> None:
            try:
                self._ask(group, keys, found, refused, stop)
            except Stopped:
                return  # because of another's failure, which is told
            except BaseException as error:
                failures.append(error)
                stop.set()
                raise

        with ThreadPoolExecutor(min(len(groups), server.max_concurrency), thread_name_prefix="embed") as pool:
            try:
                futures = [pool.submit(work, group) for group in groups]
                for future in futures:
                    future.exception()
            except BaseException:  # Ctrl-C: send nothing more; what is under way is heard, because it is paid for
                stop.set()
                raise
        if failures:
            raise failures[0]
        return found

    def _ask(
        self,
        group: list[str],
        keys: dict[str, bytes],
        found: dict[bytes, Matrix],
        refused: dict[str, str],
        stop: threading.Event,
    ) -> None:
        size = sum(tokens_at_most(text) for text in group)
        bound = Bound(size, tokens_about(size), inputs=len(group))
        try:
            matrix = self._provider.ask(
                lambda client: self._send(client, group),
                bound,
                lambda raw: _vectors(raw, len(group), self.space.dim),
                stop,
            )
        except InputRefused as error:
            if len(group) == 1:
                refused[group[0]] = str(error)
                self._note_refusal(error)
                return
            half = len(group) // 2  # one of them is not taken: the others are not to suffer for it
            self._ask(group[:half], keys, found, refused, stop)
            self._ask(group[half:], keys, found, refused, stop)
            return
        vectors = {keys[text]: vector for text, vector in zip(group, matrix, strict=True)}
        self._cache.keep(vectors)
        with self._lock:
            self._taken = True
            found.update(vectors)

    def _send(self, client: openai.OpenAI, group: list[str]) -> Any:
        import openai

        return client.embeddings.with_raw_response.create(
            model=self._provider.model,
            input=group,
            encoding_format=self._model.encoding,
            dimensions=self.space.dim if self._model.send_dimensions else openai.omit,
        )

    def _note_refusal(self, error: InputRefused) -> None:
        with self._lock:
            self._refused_in_a_row += 1
            hopeless = not self._taken and self._refused_in_a_row >= REFUSED_IN_A_ROW
        if hopeless:
            raise ProviderRefused(f"The server refuses every text: {error}") from error


def _joined(parts: Sequence[tuple[str, Matrix]]) -> Matrix:
    """The vector of a text: of its only piece, or the mean of its pieces weighted by their length."""
    import numpy as np

    if len(parts) == 1:
        return parts[0][1]
    mean = np.sum([len(text.encode()) * vector.astype(np.float64) for text, vector in parts], axis=0)
    length = float(np.linalg.norm(mean))
    if length < 1e-6:
        raise BadVector("The vectors of a long text's pieces cancel each other out; cut the text at its source.")
    joined: Matrix = (mean / length).astype(np.float32)
    return joined


def _vectors(raw: Any, count: int, dim: int) -> Matrix:
    """The vectors of an answer in the order of the inputs, (count, dim) of length 1. Raises OddAnswer."""
    import numpy as np

    data = raw.get("data") if isinstance(raw, dict) else None
    if not isinstance(data, list) or len(data) != count:
        found = len(data) if isinstance(data, list) else "no"
        raise OddAnswer(f"{found} vectors for {count} texts")
    matrix = np.full((count, dim), np.nan, dtype=np.float32)
    for each in data:
        place = each.get("index") if isinstance(each, dict) else None
        if type(place) is not int or not 0 <= place < count:
            raise OddAnswer(f"a vector for text {place}, of {count}")
        numbers = _numbers(each.get("embedding"))
        if numbers.shape != (dim,):
            raise OddAnswer(f"a vector of {numbers.size} numbers where {dim} were to come: see dim of the model")
        matrix[place] = numbers
    if not np.isfinite(matrix).all():
        raise OddAnswer("a vector that is missing, or holds something that is no number")
    lengths = np.linalg.norm(matrix.astype(np.float64), axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or (lengths < 1e-6).any():
        raise OddAnswer("a vector of length 0")
    unit: Matrix = (matrix / lengths).astype(np.float32)
    return unit


def _numbers(embedding: Any) -> Matrix:
    import numpy as np

    try:
        if isinstance(embedding, str):
            return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4").astype(np.float32)
        with np.errstate(over="ignore"):
            return np.asarray(embedding, dtype=np.float64).astype(np.float32)
    except (binascii.Error, OverflowError, TypeError, ValueError) as error:
        raise OddAnswer("a vector that is not made of numbers") from error


def served_embedder(name: str, workspace: Path | None, purse: Purse | None) -> ServedEmbedder | None:
    """The embedder of a name such as `openai/text-embedding-3-large`; None: no server is called so.

    Raises:
        ProviderMissingKey, ServersWrong: see `index.servers`.
        UnknownEmbedder: the server is known, but not the model.
    """
    found = named_server(name, workspace)
    if found is None:
        return None
    server_name, model_name, server = found
    key = read_key(server_name, server, workspace)
    model = _model(server_name, model_name, server)
    provider = Provider(server_name, server, model_name, key, usd_per_1m_input=model.usd_per_1m_tokens, purse=purse)
    return ServedEmbedder(provider, model, VectorCache(workspace, model.dim))


def _model(server_name: str, model_name: str, server: Server) -> EmbeddingModel:
    model = server.embeddings.get(model_name)
    if model is None:
        known = ", ".join(f"{server_name}/{each}" for each in server.embeddings) or "none"
        raise UnknownEmbedder(
            f"{server_name} is not known to embed by {model_name!r} (known: {known}); for another model add "
            f"[providers.{server_name}.embeddings.'{model_name or 'NAME'}'] with dim, max_input_tokens and "
            "usd_per_1m_tokens to spotter.toml."
        )
    return model
