"""The theme is readable: ratios of contrast are counted, not guessed."""

import re
from importlib.resources import files

import pytest

from demo.theme import ACCENT, ACCENT_HOVER, DARK, LIGHT, build_theme

GROUNDS = ("ground", "panel", "inset", "raised", "raised_hover")
MODES = pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_ratios_are_those_of_wcag():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#94a3b8", "#ffffff") == pytest.approx(2.56, abs=0.01)


@MODES
def test_words_stand_out_on_every_ground(colours):
    for words in ("text", "subdued", "link", "bad"):
        for ground in GROUNDS:
            assert contrast(colours[words], colours[ground]) >= 4.5, (words, ground)
    assert contrast(colours["bad"], colours["bad_ground"]) >= 4.5
    for accent in (ACCENT, ACCENT_HOVER):
        assert contrast("#ffffff", accent) >= 4.5


@MODES
def test_fields_and_buttons_stand_out(colours):
    for ground in ("ground", "panel", "inset"):
        assert contrast(colours["edge"], colours[ground]) >= 3
        assert contrast(ACCENT, colours[ground]) >= 3


def test_both_modes_have_every_colour_and_nothing_is_fetched():
    assert LIGHT.keys() == DARK.keys()
    css = build_theme()._get_theme_css()
    assert "#51605c" in css
    assert "#a9b7b3" in css
    folder = files("demo").joinpath("components")
    own = [path.read_text() for path in folder.iterdir() if path.name.endswith(".css")]
    for text in (css, files("demo").joinpath("page.css").read_text(), *own):
        assert not re.search(r"url\(\s*['\"]?https?:|@import", text)
