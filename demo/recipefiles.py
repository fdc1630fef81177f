"""Reads the recipe of a file that a person chose: a picture made here, or a layout."""

from pathlib import Path
from typing import Any

from demo.recipes import Recipe, Tab, read_recipe
from demo.texts import memory as texts
from gligen.layoutfiles import MAX_FILE_CHARACTERS, decode
from gligen.pictures.metadata import read_settings

_PNG = b"\x89PNG\r\n\x1a\n"


def read_recipe_file(path: Path | None, here: Tab) -> Recipe:
    """Return the recipe of a PNG that was made here, or of a layout file.

    Args:
        path: of the uploaded file.
        here: the tab that it was loaded on.

    Raises:
        ValueError: it cannot be read, or something in it breaks a rule.
        TypeError: a part has the wrong type.
    """
    if path is None or not path.is_file():
        raise ValueError(texts.NO_SUCH_FILE)
    with path.open("rb") as file:
        start = file.read(len(_PNG))
    if start == _PNG:
        return read_recipe(_settings_of(path), here)
    size = path.stat().st_size
    if size > 4 * MAX_FILE_CHARACTERS:
        raise ValueError(texts.FILE_TOO_LONG.format(size=size, limit=4 * MAX_FILE_CHARACTERS))
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise ValueError(texts.NOT_TEXT) from None
    if not text.lstrip().startswith(("{", "[")):
        raise ValueError(texts.NO_LAYOUT)
    return read_recipe(decode(text), here)


def _settings_of(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:  # without its name, which is one of ours
        try:
            return read_settings(file)
        except ValueError as error:
            raise ValueError(f"{error} {texts.OTHER_PICTURES}") from None
