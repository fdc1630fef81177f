"""The texts of a run: prompts for cross-attention, phrases for the grounding tokens.

Shapes: B pictures, N phrases, L text tokens, D width of the text encoder.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gligen.addons.lorascale import lora_scale
from gligen.components import Components
from gligen.encoding import encode_phrases, encode_prompts
from gligen.exact.text import read_texts
from gligen.run import Change, Run
from gligen.unet import is_grounded


@dataclass(frozen=True)
class EncodedText:
    """The prompts as the UNet reads them, and how far they are followed."""

    context: Float[Tensor, "B L D"]
    negative: Float[Tensor, "B L D"] | None  # None: encoded without guidance
    guidance_scale: float

    @property
    def negative_context(self) -> Float[Tensor, "B L D"] | None:
        """The negative prompts where there is guidance."""
        return self.negative if self.guidance_scale > 1 else None

    def changed(self, change: Change) -> "EncodedText":
        """Return the text after a change.

        Raises:
            ValueError: the change switches guidance on and there is no negative prompt for it.
        """
        scale = self.guidance_scale if change.guidance_scale is None else change.guidance_scale
        context = self.context if change.context is None else change.context
        negative = self.negative if change.negative_context is None else change.negative_context
        if scale > 1 and negative is None:
            raise ValueError(
                f"The guidance scale was raised to {scale:g} in a run that began without guidance; "
                "begin with a scale above 1."
            )
        return EncodedText(context.to(self.context), negative, scale)


@dataclass(frozen=True)
class RunTexts:
    """All texts of a run, encoded."""

    encoded: EncodedText
    # From N phrases of the run to their features [N, D].
    encode_phrases: Callable[[Sequence[str]], Tensor]


@torch.no_grad()
def read_run_texts(components: Components, run: Run) -> RunTexts:
    """Encode the prompts, the negative ones where there is guidance, and the phrases.

    Raises:
        ValueError: a phrase is longer than the text encoder reads.
    """
    device, dtype = components.device, components.unet.dtype
    tokenizer, text_encoder = components.tokenizer, components.text_encoder
    is_guided = run.guidance_scale > 1
    prompts = [] if run.prompt_embeds is not None else run.prompts
    negatives = run.negative_prompts if is_guided and run.negative_prompt_embeds is None else []

    with lora_scale(text_encoder, run.lora_strength):
        if components.exact.batched_text:
            texts = read_texts(
                tokenizer,
                text_encoder,
                [*prompts, *negatives],
                _phrases(components, run),
                run.clip_skip,
                run.lora_strength,
            )
            encode, phrases = texts.prompts, texts.phrases
        else:

            def encode(texts: Sequence[str]) -> Tensor:
                distinct = list(dict.fromkeys(texts))
                encoded = encode_prompts(tokenizer, text_encoder, distinct, run.clip_skip)
                rows = torch.tensor([distinct.index(text) for text in texts])
                return encoded[rows.to(encoded.device)]

            def phrases(texts: Sequence[str]) -> Tensor:
                return encode_phrases(tokenizer, text_encoder, texts)

        context = encode(prompts) if run.prompt_embeds is None else run.prompt_embeds
        negative = run.negative_prompt_embeds
        if is_guided and negative is None:
            negative = encode(negatives)
    context = context.to(device, dtype)
    negative = negative.to(device, dtype) if is_guided and negative is not None else None
    return RunTexts(EncodedText(context, negative, run.guidance_scale), phrases)


def _phrases(components: Components, run: Run) -> list[str]:
    """Return the phrases that the grounding will want; a plain UNet reads none."""
    if not is_grounded(components.unet):
        return []
    regions = [region for layout in run.layouts for region in layout.regions]
    return [region.phrase for region in regions if region.phrase]
