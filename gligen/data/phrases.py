"""The words of a region: from the names of categories, and from parts of a caption."""

from typing import Any

# What COCO appends to the names of stuff, for people who label and not for a text encoder.
_STUFF_ENDINGS = ("-merged", "-other", "-stuff")


def phrase_of_category(name: Any, is_thing: bool = True) -> Any:
    """Return the phrase for the name of a category.

    Underscores become spaces ("fire_hydrant" in LVIS), and stuff loses "-other", "-merged" and
    "-stuff" at its end ("wall-other-merged"), as the original cleaned it.
    """
    if not isinstance(name, str):
        return name
    name = name.replace("_", " ")
    while not is_thing and name.endswith(_STUFF_ENDINGS):
        name = name.rpartition("-")[0]
    return name


def phrase_of_spans(caption: Any, spans: Any) -> str | None:
    """Join the parts [start, end) of a caption that name a region; None if it says none.

    The form of MDETR's and GLIP's grounding files ("tokens_positive").
    """
    if not isinstance(caption, str) or not isinstance(spans, list) or not spans:
        return None
    parts = []
    for span in spans:
        if not isinstance(span, list) or len(span) != 2:
            return None
        if not all(type(place) is int for place in span):
            return None
        start, end = span
        if not 0 <= start < end <= len(caption):
            return None
        parts.append(caption[start:end])
    return " ".join(parts)
