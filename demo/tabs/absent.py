"""What stands in a tab whose model is not loaded."""

from collections.abc import Sequence

from demo.components.article import Article, Row, Section
from demo.service import FLAGS, ModelCard
from demo.texts import absent as texts
from gligen.kinds import kind_named


def build(kinds: Sequence[str], what: str, card: ModelCard) -> Article:
    """Say that none of the kinds is loaded, and how to load each of them."""
    why = texts.NOT_HELD if kinds[0] in card.lacking else texts.NOT_STARTED
    has_choice = len(kinds) > 1
    rows = [Row(kind_named(kind).title, FLAGS[kind], "code") for kind in kinds if has_choice]
    section = Section(
        texts.TITLE.format(what=what),
        (why, texts.ANY_FLAG if has_choice else texts.OTHERS_WORK),
        texts.COMMAND.format(way=card.way_to(kinds[0])),
        tuple(rows),
    )
    return Article([section], elem_classes="absent")
