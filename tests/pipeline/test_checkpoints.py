"""Checkpoints by name: what the registry says, what lies here, and every way in which fetching goes wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from console.cli import app
from console.operations.weights import (
    WeightsFailed,
    WeightsMissing,
    box_checkpoints,
    fetch_weights,
    use_own_registry,
    verify_weights,
)
from console.workspace import create_workspace
from pipeline.core.errors import StageCrash, UsageError
from pipeline.models.checkpoints import CheckpointDamaged, CheckpointMissing, digest, entry, locate, registry
from pipeline.models.loading import load_state
from pipeline.models.store import read_pins
from tests.pipeline.hub import Hub, serving

WEIGHTS = bytes(range(256)) * 40


@dataclass
class Place:
    hub: Hub
    root: Path
    folder: Path

    def registry(self, **entries: dict[str, Any]) -> None:
        self.hub.write_registry(self.folder / "registry.yaml", entries)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    repository = tmp_path / "hub" / "acme" / "small"
    (repository / "text").mkdir(parents=True)
    (repository / "model.safetensors").write_bytes(WEIGHTS)
    (repository / "text" / "config.json").write_text("{}")
    with serving(tmp_path / "hub") as hub:
        made = Place(hub, tmp_path / "checkpoints", tmp_path)
        made.registry(small=hub.entry("acme/small"))
        for name, value in hub.environment(made.root, tmp_path / "registry.yaml").items():
            monkeypatch.setenv(name, value)
        yield made


def test_the_shipped_registry_pins_every_file_but_one_to_a_commit() -> None:
    entries = registry()
    assert set(entries) >= {
        "grounding-dino-tiny", "grounding-dino-base", "sam2.1-hiera-large", "sam2.1-hiera-base-plus",
        "sam2.1-hiera-small", "sam2.1-hiera-tiny", "groundingdino-swint-ogc", "sam2.1-hiera-large-original",
    }  # fmt: skip
    unpinned = [(each.name, file.path) for each in entries.values() for file in each.files if file.sha256 is None]
    assert unpinned == [("groundingdino-swint-ogc", "bert-base-uncased/config.json")]
    for each in entries.values():
        for file in each.files:
            (url,) = each.urls(file)
            assert "/main/" not in url, "a branch moves"
            assert each.licence == "Apache-2.0"


def test_what_was_fetched_is_verified_once_and_stands_for_itself_in_keys(place: Place) -> None:
    with pytest.raises(CheckpointMissing, match=r"none of it is there.*spotter weights fetch small"):
        locate("small")
    (line,) = fetch_weights(place.root, ["small"])
    assert line.state == "here"
    files = locate("small")
    assert files.path("text/config.json").read_text() == "{}"
    assert (files.folder / "model.safetensors").read_bytes() == WEIGHTS
    first = digest("small")
    assert first == digest("small", place.root)
    asked = len(place.hub.asked)
    fetch_weights(place.root, ["small"])
    assert len(place.hub.asked) == asked


def test_a_file_that_changed_is_damaged_and_fetching_mends_it(place: Place) -> None:
    fetch_weights(place.root, ["small"])
    locate("small")
    weights = place.root / "small" / "model.safetensors"
    weights.write_bytes(WEIGHTS[:-1] + b"!")
    with pytest.raises(CheckpointDamaged, match=r"model.safetensors has another sha256; .*spotter weights fetch small"):
        locate("small")
    with pytest.raises(WeightsMissing, match="another sha256"):
        verify_weights(place.root)
    weights.write_bytes(WEIGHTS[:-1])
    with pytest.raises(CheckpointDamaged, match=f"has {len(WEIGHTS) - 1} bytes instead of {len(WEIGHTS)}"):
        locate("small")
    fetch_weights(place.root, ["small"])
    assert verify_weights(place.root)[0].state == "here"


def test_a_flipped_byte_that_kept_time_and_size_is_found_by_verify(place: Place) -> None:
    fetch_weights(place.root, ["small"])
    locate("small")
    weights = place.root / "small" / "model.safetensors"
    before = weights.stat()
    with weights.open("r+b") as file:
        file.write(b"?")
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(WeightsMissing, match="another sha256"):
        verify_weights(place.root, ["small"])


def test_an_unpinned_file_is_pinned_when_it_first_comes_and_must_stay_the_same(place: Place) -> None:
    place.registry(small=place.hub.entry("acme/small", unpinned=["text/config.json"]))
    with pytest.raises(CheckpointMissing):
        locate("small")
    fetch_weights(place.root, ["small"])
    assert read_pins(place.root)["small/text/config.json"].bytes == 2
    before = digest("small")
    (place.root / "small" / "text" / "config.json").unlink()
    (place.hub.folder / "acme/small/text/config.json").write_text("[]")
    with pytest.raises(WeightsFailed, match="serves wrong bytes: the sha256 differs"):
        fetch_weights(place.root, ["small"])
    (place.hub.folder / "acme/small/text/config.json").write_text("{}")
    fetch_weights(place.root, ["small"])
    assert digest("small") == before


def test_a_machine_without_the_files_knows_the_key_of_a_box_that_has_them(place: Place) -> None:
    here = digest("small")
    fetch_weights(place.root, ["small"])
    assert digest("small") == here
    place.registry(small=place.hub.entry("acme/small", unpinned=["text/config.json"]))
    (place.root / "pins.json").unlink()
    with pytest.raises(CheckpointMissing, match=r"text/config\.json of checkpoint small .*weights fetch small$"):
        digest("small")


def test_fetching_nothing_names_what_there_is_to_fetch(place: Place) -> None:
    fetch_weights(place.root, ["small"])
    done = CliRunner().invoke(app, ["weights", "fetch"])
    assert (done.exit_code, done.output.count("\n")) == (2, 1)
    assert "which checkpoints? `spotter weights fetch grounding-dino-tiny` fetches one" in done.output
    assert "sam2.1-hiera-large" in done.output
    assert " small" not in done.output


def test_a_box_gets_exact_files_also_of_what_nobody_had_pinned(place: Place) -> None:
    place.registry(small=place.hub.entry("acme/small", unpinned=["text/config.json"]))
    wanted = {each.name: each for each in box_checkpoints(place.root, ["small"])}
    assert {name: each.size for name, each in wanted.items()} == {
        "small/model.safetensors": len(WEIGHTS),
        "small/text/config.json": 2,
    }
    fetched = [path for path, _ in place.hub.asked]
    assert [path.rpartition("/")[2] for path in fetched] == ["config.json"], "only what had to be pinned came here"


def test_a_box_knows_a_users_own_checkpoint_by_what_its_bootstrap_fetched(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch_weights(place.root, ["small"])
    here = digest("small")
    monkeypatch.delenv("MODEL_REGISTRY")
    assert digest("small") == here
    assert {file.path for file in entry("small").files} == {"model.safetensors", "text/config.json"}


@pytest.mark.parametrize(
    ("manner", "told"),
    [
        ("login", r"answers 401 Unauthorized: it wants a login"),
        ("lies", r"serves wrong bytes: the sha256 differs"),
        ("short", rf"serves {len(WEIGHTS) - 1} bytes instead of {len(WEIGHTS)}"),
        ("gone", r"answers 404 Not Found"),
        ("dead", r"broke off: .*refused"),
        ("large", r"the checkpoints need 1000000\.0 GB, and .* has .* GB free"),
    ],
)
def test_what_goes_wrong_is_one_sentence_and_nothing_stands_there_as_if_it_were_whole(
    place: Place, monkeypatch: pytest.MonkeyPatch, manner: str, told: str
) -> None:
    place.hub.broken["model.safetensors"] = manner
    if manner == "gone":
        (place.hub.folder / "acme/small/model.safetensors").unlink()
    if manner == "dead":
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    if manner == "large":
        made = place.hub.entry("acme/small")
        made["files"][0]["bytes"] = 10**15
        place.registry(small=made)
    with pytest.raises(WeightsFailed, match=told) as failed:
        fetch_weights(place.root, ["small"])
    assert "\n" not in str(failed.value)
    assert not (place.root / "small" / "model.safetensors").exists()
    with pytest.raises(CheckpointMissing, match="spotter weights fetch small"):
        locate("small")


def test_the_next_mirror_serves_what_the_first_one_does_not(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:9 {place.hub.url}")
    fetch_weights(place.root, ["small"])
    origins = {told["from"] for told in json.loads((place.root / "pins.json").read_text()).values()}
    assert all(origin.startswith("127.0.0.1/acme/small/resolve/") for origin in origins)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "small: {files: [{path: ../escape, hub: a/b}]}",
            r"checkpoint small, files\.0\.path: '\.\./escape' is no path",
        ),
        ("small: {files: [{path: a}]}", r"checkpoint small: it is not said where a comes from"),
        ("small: {hub: a/b, files: []}", r"checkpoint small, files"),
        ("small: {hub: a/b, files: [{path: a, sha256: XYZ}]}", r"checkpoint small, files\.0\.sha256"),
        ("- small", r"must hold checkpoints by name"),
        ("small: [", r"is not YAML"),
    ],
)
def test_a_wrong_registry_is_told_with_its_entry(place: Place, text: str, told: str) -> None:
    (place.folder / "registry.yaml").write_text(text)
    with pytest.raises(UsageError, match=told):
        registry()


def test_weights_that_do_not_fit_are_an_error_that_names_them() -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Linear(2, 3)
    whole = {"weight": torch.ones(3, 2), "bias": torch.zeros(3)}
    load_state(model, whole, "a layer")
    assert model.weight.sum() == 6
    for state, told in (
        ({"weight": whole["weight"]}, r"a layer: .*\(1 missing: bias\)"),
        (whole | {"extra": torch.ones(1)}, r"1 unexpected: extra"),
        (whole | {"bias": torch.ones(4)}, r"1 of another shape: bias is \(4,\) instead of \(3,\)"),
    ):
        with pytest.raises(StageCrash, match=told):
            load_state(model, state, "a layer")


def test_the_settings_name_a_mirror_and_a_registry_and_the_environment_goes_before_them(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, _ = create_workspace(tmp_path / "workspace")
    own = place.folder / "registry.yaml"
    with workspace.settings_file.open("a") as file:
        file.write(f'\n[pipelines]\nhub = ["{place.hub.url}"]\ncheckpoints = "{own}"\n')
    monkeypatch.setenv("HF_ENDPOINT", "")
    monkeypatch.setenv("MODEL_REGISTRY", "")
    use_own_registry(workspace)
    assert entry("small").urls(entry("small").files[0])[0].startswith(f"{place.hub.url}/acme/small/resolve/")
    monkeypatch.setenv("HF_ENDPOINT", "https://elsewhere.example")
    use_own_registry(workspace)
    assert entry("small").urls(entry("small").files[0])[0].startswith("https://elsewhere.example/")
