"""Which tags a record gets, and by which words."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.tags.catalog_file import default_catalog
from index.tags.hook import tag_rows
from index.tags.infer import Assigned, BadStruct, Tagger, read_struct
from pipeline.core.records import Record
from tests.index.index_world import record
from tests.index.tags.test_tag_catalog import catalog, tag

DEFAULT = Tagger(default_catalog())


def found(
    text: str, kind: str = "NarrativeText", struct: dict[str, Any] | None = None, **meta: Any
) -> dict[str, Assigned]:
    told = DEFAULT.tags_of(record("r", text, kind, **meta), struct)
    return {one.tag: one for one in told.assigned}


def test_names_are_found_in_any_form_with_the_words_that_say_so() -> None:
    text = "Мы говорим о слоях данных и о Platform Value Stack."
    told = found(text)
    layer, stack = told["Layer/Data"], told["Diagram/ValueStack"]
    assert (layer.evidence, layer.source, layer.score) == ("слоях данных", "text", 0.9)
    assert (stack.evidence, stack.score) == ("Platform Value Stack", 1.0)
    assert stack.span is not None
    assert text[slice(*stack.span)] == "Platform Value Stack"


@pytest.mark.parametrize(
    ("kind", "source"),
    [("Title", "heading"), ("VisualCaption", "caption"), ("VisualFact", "fact"), ("Table", "table"), ("Image", "text")],
)
def test_the_kind_of_text_is_told(kind: str, source: str) -> None:
    assert found("Roadmap", kind)["Document/Roadmap"].source == source


def test_the_longest_name_wins_and_brings_its_broader_tag() -> None:
    told = found("The business model canvas hangs on the wall")
    assert "Strategy/BusinessModel" not in told
    assert told["Canvas"].source == "broader"
    assert told["Canvas"].score < told["Canvas/BusinessModel"].score


@pytest.mark.parametrize("text", ["data  product", "Data-Product", "data\nproduct", "data “product”"])
def test_a_name_may_be_parted_by_a_line_or_a_hyphen(text: str) -> None:
    assert "Data/Product" in found(text)


@pytest.mark.parametrize(
    "text", ["data: product", "data, product", "data\n\nproduct", "data (product)", "data. Product"]
)
def test_but_by_no_mark_that_ends_a_phrase(text: str) -> None:
    assert "Data/Product" not in found(text)


def test_a_phrase_that_means_something_else_excludes_the_name_inside_it_only() -> None:
    assert "Pillar/Security" not in found("He lives on social security")
    assert "Pillar/Security" in found("Social security is not the security of a platform")


def test_a_tag_brings_the_zone_that_it_lies_in() -> None:
    told = found("Take rate and subscription fees")
    assert told["Zone/Monetization"].source == "zone"


def test_a_name_in_capitals_is_found_in_capitals_alone() -> None:
    assert "Metric/ServiceLevel" in found("an SLA of 99 %")
    assert "Metric/ServiceLevel" not in found("the sla of it")


def test_of_a_group_that_allows_one_the_tag_said_most_often_stays_beside_what_was_given() -> None:
    assert [tag for tag in found("L1 above, L2 here, L2 there") if tag.startswith("Level")] == ["Level/Ecosystem(L2)"]
    told = found("L2 and again L2", tags=["L1"])
    assert [tag for tag in told if tag.startswith("Level")] == ["Level/Portfolio(L1)"]


def test_given_tags_and_the_regions_label_are_made_canonical_and_unknown_ones_are_kept() -> None:
    told = DEFAULT.tags_of(record("r", "x", "VisualCaption", tags=["table", "Whatever"], label="canvas"))
    assert [(one.tag, one.source) for one in told.assigned] == [("Canvas", "label"), ("Table", "given")]
    assert told.raw_tags == ("Whatever",)
    assert tag_rows(told) == (("Table", "record", 1.0), ("Whatever", "record", 1.0), ("Canvas", "catalog", 1.0))


STRUCT = {
    "kind": "canvas", "title": "Ecosystem strategy map", "headings": ["Liquidity zone"], "labels": ["Payment gateway"],
    "sections": [{"heading": "Revenue model", "lines": []}], "lines": ["Carbon footprint"],
}  # fmt: skip


def test_a_regions_struct_speaks_by_its_title_and_for_its_caption_by_all_its_headings() -> None:
    fact, caption = found("a fact", "VisualFact", STRUCT), found("a caption", "VisualCaption", STRUCT)
    assert {tag for tag, one in fact.items() if one.source == "struct"} == {"Canvas/EcosystemStrategy"}
    assert {tag for tag, one in caption.items() if one.source == "struct"} == {
        "Canvas/EcosystemStrategy", "Zone/Liquidity", "Component/Payments", "Monetization",
    }  # fmt: skip
    assert fact["Canvas/EcosystemStrategy"].score == 0.8


def test_a_struct_is_read_from_the_runs_folder_only_and_a_broken_one_is_told(tmp_path) -> None:  # type: ignore[no-untyped-def]
    run, inside = tmp_path / "run", tmp_path / "run" / "artifacts"
    inside.mkdir(parents=True)
    (inside / "region-0001.struct.json").write_bytes(orjson.dumps(STRUCT))
    (tmp_path / "region-0001.struct.json").write_bytes(orjson.dumps(STRUCT))
    with_crop = record("r", "x", crop="artifacts/region-0001.png")
    assert read_struct(with_crop, run) == STRUCT
    assert read_struct(record("r", "x", crop="../region-0001.png"), run) is None
    assert read_struct(record("r", "x", crop="artifacts/region-0002.png"), run) is None
    assert read_struct(with_crop, None) is None
    (inside / "region-0001.struct.json").write_bytes(b"{")
    with pytest.raises(BadStruct, match=r"region-0001\.struct\.json: not a region's struct"):
        read_struct(with_crop, run)


def test_a_catalog_says_how_its_names_are_matched() -> None:
    told = Tagger(catalog(tag("A/Never", match=()), tag("A/Exact", match=("phrase",)), tag("A/Form")))
    assert told.tags_of(
        Record.model_validate({"id": "r", "text": "never exacts forms", "meta": {"type": "Title"}})
    ).tags == ("A/Form",)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.sampled_from([name for one in default_catalog().active for name in one.names])
        | st.text("абвё xyz.,\n\u0301", max_size=12),
        max_size=12,
    )
)
def test_evidence_always_stands_in_the_text_and_the_same_text_gives_the_same_tags(parts: list[str]) -> None:
    text = " ".join(parts) or "x"
    told = DEFAULT.tags_of(record("r", text))
    assert told == DEFAULT.tags_of(record("r", text))
    assert len(set(told.tags)) == len(told.tags)
    for one in told.assigned:
        assert 0 < one.score <= 1
        assert one.span is not None
        assert text[slice(*one.span)] == one.evidence
