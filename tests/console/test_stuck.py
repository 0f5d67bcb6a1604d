"""Why an instance gets nowhere: a table of cases on both sides of every threshold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console import language
from console.models import stuck
from console.models.fleet import InstanceView, Load, Work
from console.models.stuck import ADVICE, SHORT, WORDS, advice_of, short_of, stuck_of, words_of

NOW, WALL = 50_000.0, 1_000_000.0
OURS = InstanceView(
    id=7, gpu="RTX 4090", state="ready", usd_per_hour=0.4, spent_usd=1.0, started_at=0.0, label="x", location="",
    endpoints=(), message="", run_id="01jrun", since=NOW - 10,
)  # fmt: skip
WORK = Work("01jrun", "docparse", "running", 3, 10, 77, progressed_at=WALL - 5, heard_at=WALL - 5)
LOAD = Load(WALL - 2, gpu=(0.5, 0.7, 0.9), vram=(0.3, 0.3, 0.3), span_s=600.0)
RESTING = replace(LOAD, gpu=(0.0, 0.0, 0.01))
LEAK = replace(LOAD, vram=(0.6, 0.7, 0.8, 0.95))


def at(state: str, for_s: float) -> InstanceView:
    return replace(OURS, state=state, since=NOW - for_s)


def working(load: Load | None = LOAD, **changes: object) -> InstanceView:
    return replace(OURS, work=replace(WORK, **changes), load=load)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("view", "kind"),
    [
        (OURS, None),
        (at("loading", stuck.LOADING_S - 1), None),
        (at("loading", stuck.LOADING_S + 1), "loading"),
        (at("pulling", stuck.LOADING_S + 1), "loading"),
        (at("booting", stuck.BOOTING_S - 1), None),
        (at("booting", stuck.BOOTING_S + 1), "ssh"),
        (at("authed", stuck.BOOTING_S + 1), "ssh"),
        (at("offline", stuck.AWAY_S + 1), "away"),
        (at("lost", stuck.AWAY_S + 1), "away"),
        (at("destroying", stuck.DESTROYING_S - 1), None),
        (at("destroying", stuck.DESTROYING_S + 1), "not-gone"),
        (at("ready", 1e9), None),
        (replace(at("loading", 1e9), since=None), None),
        (replace(OURS, standing="orphan"), "orphan"),
        (replace(OURS, standing="foreign", state="loading", since=0.0), None),
        (replace(at("loading", stuck.LOADING_S + 1), stale=True), None),
        (working(), None),
        (working(RESTING, heard_at=WALL - stuck.SILENT_S - 1), "silent"),
        (working(RESTING, heard_at=WALL - stuck.SILENT_S + 1), None),
        (working(None, heard_at=WALL - stuck.SILENT_S - 1), "silent"),
        (working(LOAD, heard_at=WALL - stuck.SILENT_S - 1), None),
        (working(replace(RESTING, span_s=stuck.IDLE_SPAN_S - 1), heard_at=WALL - stuck.SILENT_S - 1), None),
        (working(LOAD, progressed_at=WALL - stuck.FLAT_S - 1), "flat"),
        (working(LOAD, progressed_at=WALL - stuck.FLAT_S + 1), None),
        (working(LOAD, progressed_at=None), None),
        (working(RESTING, heard_at=WALL - 1e6, state="succeeded"), None),
        (working(LOAD, heard_at=WALL - stuck.UNFOLLOWED_S - 1, driver=None), "unfollowed"),
        (working(LOAD, heard_at=WALL - stuck.UNFOLLOWED_S + 1, driver=None), None),
        (replace(OURS, load=replace(LOAD, disk=0.96)), "disk"),
        (replace(OURS, load=replace(LOAD, disk=0.94)), None),
        (replace(OURS, load=replace(LOAD, disk=0.99, at=WALL - stuck.SILENT_S - 1)), None),
        (replace(OURS, load=LEAK), "vram"),
        (replace(OURS, load=replace(LEAK, span_s=stuck.VRAM_SPAN_S - 1)), None),
        (replace(OURS, load=replace(LEAK, vram=(0.94, 0.95, 0.95, 0.95))), None),
        (replace(OURS, load=replace(LEAK, vram=(0.1, 0.95, 0.95, 0.95))), None),
        (replace(OURS, load=replace(LEAK, vram=(0.2, 0.3, 0.4, 0.6))), None),
        (working(replace(LEAK, disk=0.99), heard_at=WALL - 1e5), "disk"),
    ],
)
def test_it_is_stuck_from_the_threshold_on_and_the_gravest_reason_comes_first(
    view: InstanceView, kind: str | None
) -> None:
    found = stuck_of(view, NOW, WALL)
    assert (None if found is None else found.kind) == kind


@pytest.mark.parametrize("lang", language.LANGUAGES)
@pytest.mark.parametrize("kind", list(WORDS))
def test_every_reason_has_words_a_short_form_and_the_next_key(kind: stuck.Kind, lang: str) -> None:
    before = language.language()
    language.use(lang)
    try:
        made = stuck._made(kind, 1300.0, "96%")
        assert "{" not in words_of(made)
        assert 3 <= len(short_of(made)) <= 12
        assert advice_of(made).split()[0] == made.key
        assert len(made.key) == 1
    finally:
        language.use(before)


def test_the_reason_says_for_how_long() -> None:
    found = stuck_of(at("loading", 25 * 60.0), NOW, WALL)
    assert found is not None
    assert words_of(found) == "still loading its image after 25m 00s"
    assert set(WORDS) == set(SHORT) == set(ADVICE)
