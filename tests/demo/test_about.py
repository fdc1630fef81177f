"""What the tab About and the tabs of absent models say."""

from dataclasses import replace

import pytest

from demo.components.article import Article, Row, Section
from demo.service import FLAGS, GENERATION, KEYPOINT, ModelCard
from demo.tabs import absent
from demo.tabs.about import sections
from gligen import __version__
from gligen.kinds import KINDS, kind_named

CARD = ModelCard(
    "a <b>model</b>",
    "It was asked for.",
    "cpu",
    {GENERATION: (64, 48)},
    notes=("Something is missing.",),
    lacking=frozenset({"depth"}),
)


def rows_of(card: ModelCard) -> dict[str, str]:
    return {row.term: row.text for section in sections(card) for row in section.rows}


def test_about_says_which_model_why_and_what_is_missing():
    rows = rows_of(CARD)
    assert rows["Model"] == "a <b>model</b>"
    assert rows["Device"] == "cpu"
    assert rows["Why this one"] == "It was asked for."
    assert rows["Note"] == "Something is missing."
    assert rows["gligen"] == __version__
    assert {"torch", "diffusers", "transformers", "gradio", "Python"} <= rows.keys()


def test_about_lists_every_kind_as_loaded_or_with_its_flag():
    rows = rows_of(CARD)
    assert rows[kind_named(GENERATION).title] == "loaded, 64 x 48 pixels"
    for kind in set(KINDS) - {GENERATION}:
        assert rows[kind_named(kind).title].endswith(FLAGS[kind])
    assert rows[kind_named("depth").title].startswith("--model official ")
    assert not rows[kind_named(KEYPOINT).title].startswith("--model")


def test_about_counts_the_classes_of_the_model_in_use():
    rows = rows_of(replace(CARD, label_names=("background", "dog", "cat")))
    assert "semantic map of this model's 3 classes" in rows
    assert kind_named("semantic").title not in rows


def test_about_names_licence_citation_and_keys():
    texts = [text for s in sections(CARD) for text in (*s.paragraphs, s.code)]
    assert any("Apache License 2.0" in text for text in texts)
    assert any("@inproceedings{li2023gligen" in text for text in texts)
    assert rows_of(CARD)["undo and redo"] == "Ctrl+Z Ctrl+Y"


@pytest.mark.parametrize(("lacking", "words"), [(False, "without the model"), (True, "not hold")])
def test_an_absent_tab_shows_the_command_that_brings_it(lacking, words):
    card = replace(CARD, lacking=frozenset({KEYPOINT} if lacking else ()))
    (section,) = absent.build((KEYPOINT,), "Placing people", card).props["sections"]
    assert section["title"] == "Placing people is not loaded"
    assert words in section["paragraphs"][0]
    assert section["code"] == f"python app.py {card.way_to(KEYPOINT)}"
    assert not section["rows"]


def test_an_absent_tab_of_several_kinds_lists_the_flag_of_each():
    (section,) = absent.build(("hed", "canny"), "Painting", CARD).props["sections"]
    assert [row["text"] for row in section["rows"]] == [FLAGS["hed"], FLAGS["canny"]]


def test_links_lead_to_https_only_and_templates_take_no_values():
    with pytest.raises(ValueError, match="https"):
        Row("a", "javascript:alert(1)", "link")
    article = Article([Section("a", ("${1+1} {{value}}",))])
    for template in (article.html_template, article.css_template):
        assert not any(mark in template for mark in ("${", "{{", "`"))
