from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from index.embed import OFFLINE, Space, available_embedders, embedder, embedder_for_space, parse_space
from index.errors import BadVector, EmbedderUnavailable, UnknownEmbedder
from index.vectors import unit
from tests.processor import least_s

SAMPLE = "Слои Platform Value Stack: «Ёлка», 42 % — growth\nnew line"


def test_the_offline_embedder_is_chosen_by_name_and_says_what_it_is():
    chosen = embedder(OFFLINE)
    assert chosen.space.id == "offline/hash3072-stem-char4/3072/v1"
    assert chosen.label == "lexical"
    assert not chosen.network
    assert OFFLINE in available_embedders()


def test_an_unknown_name_is_answered_with_the_choices():
    with pytest.raises(UnknownEmbedder, match=r"choose one of: .*hash3072-stem-char4"):
        embedder("offline/word2vec")


@pytest.mark.parametrize("name", ["openai/text-embedding-3-large", "openai"])
def test_openai_is_refused_with_both_ways_out(name):
    with pytest.raises(EmbedderUnavailable) as refused:
        embedder(name)
    assert "OPENAI_API_KEY" in str(refused.value)
    assert f'embedder = "{OFFLINE}"' in str(refused.value)


def test_a_space_survives_its_id_and_has_a_name_fit_for_a_folder():
    space = Space("openai", "org/text-embedding-3-large", 3072, "prep1")
    assert parse_space(space.id) == space
    assert space.slug == "openai-org-text-embedding-3-large-3072-prep1"


def test_the_embedder_of_a_space_is_found_or_refused_honestly():
    assert embedder_for_space("offline/hash3072-stem-char4/3072/v1").space == embedder(OFFLINE).space
    with pytest.raises(UnknownEmbedder):
        embedder_for_space("offline/hash3072-stem-char4/3072/v0")
    with pytest.raises(EmbedderUnavailable):
        embedder_for_space("openai/text-embedding-3-large/3072/prep1")
    with pytest.raises(UnknownEmbedder):
        embedder_for_space("nonsense")


def test_vectors_are_float32_of_length_one_for_anything_but_white_space():
    vectors = embedder(OFFLINE).embed([SAMPLE, "a", "→ — !", "\x00", "я" * 5000, "слово " * 10_000], kind="doc")
    assert vectors.dtype == np.float32
    assert vectors.shape == (6, 3072)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    with pytest.raises(ValueError, match="white space"):
        embedder(OFFLINE).embed([" \n\t"], kind="doc")


def test_equal_texts_give_equal_bits_in_every_process():
    program = (
        "import sys, hashlib; from index.embed import embedder, OFFLINE;"
        "print(hashlib.sha256(embedder(OFFLINE).embed([sys.argv[1]], kind='doc').tobytes()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program, SAMPLE],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }
    assert len(digests) == 1


def test_inflected_and_misspelt_words_stay_near_and_others_do_not():
    base, inflected, misspelt, other = embedder(OFFLINE).embed(
        ["архитектура платформы", "архитектурой платформ", "архетиктура платформы", "зелёный чай"], kind="query"
    )
    assert base @ inflected > 0.6
    assert base @ misspelt > 0.4
    assert abs(float(base @ other)) < 0.15


def test_a_thousand_short_records_are_embedded_within_a_second_of_processor_time():
    texts = [f"Block {at} of the value stack feeds layer {at % 13}" for at in range(2000)]
    assert least_s(lambda: embedder(OFFLINE).embed(texts, kind="doc"), 2.0) < 2.0


@pytest.mark.parametrize("bad", [[0.0, 0.0], [float("nan"), 1.0], [float("inf"), 1.0], [1.0], [[1.0, 0.0]]])
def test_zero_nan_and_misshapen_vectors_are_refused(bad):
    with pytest.raises(BadVector, match="record r1"):
        unit(bad, 2, "record r1")


def test_a_vector_of_length_one_is_kept_bit_for_bit_and_another_is_scaled():
    given = np.array([0.6, 0.8], dtype=np.float32)
    assert unit(given, 2, "x").tobytes() == given.tobytes()
    assert np.allclose(unit([3.0, 4.0], 2, "x"), given)
