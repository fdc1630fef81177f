"""What a model with a small vocabulary can paint, and what it is asked for besides."""

import re
from collections.abc import Sequence

from demo.texts import knowing as texts
from gligen.layout import Layout
from gligen.world.sprites import ALL_SPRITE_NAMES

EMBEDDED_NAMES = (*ALL_SPRITE_NAMES, "person")


def is_known(phrase: str, names: Sequence[str]) -> bool:
    """Whether a phrase holds one of the names, in the singular or with a plural's ending."""
    return any(re.search(rf"\b{re.escape(n)}(s|es)?\b", phrase, re.IGNORECASE) for n in names)


def describe_unknown(layout: Layout, numbers: Sequence[int], names: Sequence[str]) -> str:
    """Say which boxes have names that the model never learned; empty if it knows all of them.

    Args:
        layout: whose regions are looked at; those with a picture are shown by it.
        numbers: of its regions on the canvas.
        names: that the model knows; empty: it takes any words.
    """
    if not names:
        return ""
    unknown = [
        texts.BOX.format(number=number, phrase=region.phrase)
        for number, region in zip(numbers, layout, strict=True)
        if region.phrase and region.image is None and not is_known(region.phrase, names)
    ]
    if not unknown:
        return ""
    return texts.UNKNOWN.format(boxes=", ".join(unknown))


def list_names(names: Sequence[str]) -> str:
    """Say what the model can paint."""
    return texts.NAMES.format(names=", ".join(names))
