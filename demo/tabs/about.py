"""The tab About: what this is, which model paints and why, what it can follow, keys, licence."""

import platform
from importlib.metadata import version

import gligen
from demo.components.article import Article, Row, Section
from demo.maps import title_of
from demo.service import ModelCard
from demo.texts import about as texts
from gligen.kinds import KINDS

PACKAGES = ("torch", "diffusers", "transformers", "gradio")


def build(card: ModelCard) -> Article:
    """Build the tab."""
    return Article(sections(card), elem_id="about")


def sections(card: ModelCard) -> list[Section]:
    """Return what the tab says of a model."""
    paper = Row(texts.PAPER, texts.PAPER_LINK, "link")
    keys = tuple(Row(what, keys, "keys") for what, keys in texts.KEY_ROWS)
    return [
        Section(texts.WHAT, texts.WHAT_TEXT, rows=(paper,)),
        Section(texts.MODEL, rows=_model_rows(card)),
        Section(texts.KINDS, texts.KINDS_TEXT, rows=tuple(_kind_row(k, card) for k in KINDS)),
        Section(texts.KEYS, texts.KEYS_TEXT, rows=keys),
        Section(texts.LICENCE, texts.LICENCE_TEXT, texts.CITATION),
        Section(texts.VERSIONS, rows=_version_rows()),
    ]


def _model_rows(card: ModelCard) -> tuple[Row, ...]:
    return (
        Row(texts.NAME, card.name),
        Row(texts.DEVICE, card.device),
        Row(texts.REASON, card.reason),
        *(Row(texts.NOTE, note) for note in card.notes),
    )


def _kind_row(kind: str, card: ModelCard) -> Row:
    title = title_of(kind, card.label_names)
    if not card.has(kind):
        return Row(title, card.way_to(kind), "code")
    width, height = card.image_sizes[kind]
    return Row(title, texts.LOADED.format(width=width, height=height))


def _version_rows() -> tuple[Row, ...]:
    return (
        Row("gligen", gligen.__version__),
        Row("Python", platform.python_version()),
        *(Row(package, version(package)) for package in PACKAGES),
    )
