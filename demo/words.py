"""Checks what strangers wrote before anything is made of it."""

from demo.texts import operations as texts

MAX_PROMPT_LENGTH = 2000  # characters, as in the fields of the page; CLIP reads about 300
MAX_LABEL_LENGTH = 200
PLAIN_CONTROLS = "\t\n\r"


def check_words(words: str, what: str, most: int) -> None:
    """Refuse what is too long or no text; any script, emoji and marks of direction are text.

    Args:
        words: as they came.
        what: how a sentence about them begins.
        most: characters that they may have.

    Raises:
        ValueError: they break a rule. The sentence does not repeat them.
    """
    if len(words) > most:
        raise ValueError(texts.TOO_LONG.format(what=what, length=len(words), most=most))
    for position, character in enumerate(words, start=1):
        # Control characters, and halves of a character that no file and no answer can hold.
        is_control = ord(character) < 32 and character not in PLAIN_CONTROLS
        if is_control or 0xD800 <= ord(character) <= 0xDFFF:
            code = f"U+{ord(character):04X}"
            raise ValueError(texts.NO_TEXT.format(what=what, code=code, position=position))
