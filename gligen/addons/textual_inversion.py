"""Textual inversion: learned words, for prompts and for the phrases of regions alike."""

import itertools
import re
from typing import Any

from diffusers.loaders import TextualInversionLoaderMixin
from transformers import CLIPTokenizer


class TextualInversionMixin(TextualInversionLoaderMixin):
    """Loading and unloading learned words, as in diffusers' pipelines."""

    def unload_textual_inversion(
        self,
        tokens: str | list[str] | None = None,
        tokenizer: Any = None,
        text_encoder: Any = None,
    ) -> None:
        """Take learned words out again: those named, or all.

        Afterwards the text encoder can be saved and loaded; diffusers leaves the larger vocabulary
        size in its configuration.

        Raises:
            ValueError: there are none of these words.
        """
        super().unload_textual_inversion(tokens, tokenizer, text_encoder)
        encoder = text_encoder or getattr(self, "text_encoder")  # noqa: B009 (a component)
        encoder.config.vocab_size = encoder.get_input_embeddings().num_embeddings


def spell_out(tokenizer: CLIPTokenizer, text: str) -> str:
    """Write out the further vectors of learned words: "<toy>" becomes "<toy> <toy>_1 <toy>_2".

    A word that is followed by its further vectors already stays as it is.
    """
    added = tokenizer.added_tokens_encoder
    if not any(f"{word}_1" in added for word in added):
        return text
    # The longest first, so that "<toy>_1" is never taken for "<toy>".
    words = "|".join(re.escape(word) for word in sorted(added, key=len, reverse=True))
    content = {word.lower(): word for word in added}

    def with_further(match: re.Match[str]) -> str:
        word = content[match[0].lower()]
        further = " ".join(
            f"{word}_{i}"
            for i in itertools.takewhile(lambda i: f"{word}_{i}" in added, itertools.count(1))
        )
        if not further or text[match.end() :].lower().startswith(f" {further}".lower()):
            return match[0]
        return f"{match[0]} {further}"

    return re.sub(words, with_further, text, flags=re.IGNORECASE)
