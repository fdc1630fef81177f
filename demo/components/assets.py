"""Reads the templates, styles and scripts that lie beside this module."""

from importlib.resources import files


def read(*names: str) -> str:
    """Return the named text files, joined by line breaks in the order given."""
    folder = files(__package__)
    return "\n".join(folder.joinpath(name).read_text(encoding="utf-8") for name in names)
