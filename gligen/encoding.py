"""Prompts and phrases turned into features.

Shapes: B prompts, N phrases, L text tokens, D width of the text encoder.
"""

import logging
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer, PreTrainedModel

from gligen.addons.textual_inversion import spell_out

logger = logging.getLogger(__name__)


def input_device(model: PreTrainedModel) -> torch.device:
    """Return where to put what a model reads.

    While its weights are offloaded one by one they are nowhere, and the hook that brings them takes
    the input along from anywhere.
    """
    return torch.device("cpu") if model.device.type == "meta" else model.device


def count_tokens(tokenizer: CLIPTokenizer, text: str) -> int:
    """Return the number of tokens of a text, start and end tokens included."""
    text = spell_out(tokenizer, text)
    return len(tokenizer(text, truncation=False, verbose=False).input_ids)


def check_length(tokenizer: CLIPTokenizer, text: str, what: str) -> None:
    """Refuse a text that the text encoder cannot read whole.

    Raises:
        ValueError: the text has more tokens than the model reads.
    """
    tokens, limit = count_tokens(tokenizer, text) - 2, tokenizer.model_max_length - 2
    if tokens > limit:
        shown = text if len(text) <= 60 else f"{text[:57]}..."
        raise ValueError(
            f"{what} '{shown}' has {tokens} tokens; the text encoder reads at most {limit}. "
            f"Shorten it."
        )


def encode_prompts(
    tokenizer: CLIPTokenizer,
    text_encoder: CLIPTextModel,
    prompts: Sequence[str],
    clip_skip: int | None = None,
) -> Float[Tensor, "B L D"]:
    """Encode prompts for cross-attention.

    A prompt longer than the encoder reads is cut, with a warning that quotes what was lost, as
    diffusers does; front ends that want to refuse it call `check_length` first.

    Args:
        tokenizer: fixes L, its `model_max_length`.
        text_encoder: CLIP's.
        prompts: B texts.
        clip_skip: number of last layers to leave out; the final normalisation is still applied.
    """
    return encode_texts(tokenizer, text_encoder, prompts, clip_skip)[0]


def encode_texts(
    tokenizer: CLIPTokenizer,
    text_encoder: CLIPTextModel,
    texts: Sequence[str],
    clip_skip: int | None = None,
) -> tuple[Float[Tensor, "B L D"], Float[Tensor, "B D"]]:
    """Encode texts that may be prompts or phrases in one pass.

    Args and cutting are those of `encode_prompts`.

    Returns:
        What each text is as a prompt, and its feature as a phrase. The attention is causal, so the
        padding behind the end token, which phrases do without elsewhere, does not change it.
    """
    limit = tokenizer.model_max_length
    texts = [spell_out(tokenizer, text) for text in texts]
    encoded = tokenizer(
        texts, padding="max_length", max_length=limit, truncation=True, return_tensors="pt"
    )
    for text in texts:
        whole = tokenizer(text, truncation=False, verbose=False).input_ids
        if len(whole) > limit:
            lost = tokenizer.decode(whole[limit - 1 : -1])
            logger.warning("The text encoder reads %d tokens; this was cut off: %r.", limit, lost)
    ids = encoded.input_ids.to(input_device(text_encoder))
    if clip_skip is None:
        states = text_encoder(ids).last_hidden_state
        return states, _end_states(tokenizer, ids, states)
    output = text_encoder(ids, output_hidden_states=True)
    inner = getattr(text_encoder, "text_model", text_encoder)  # transformers < 5.? nests it
    skipped = inner.final_layer_norm(output.hidden_states[-(clip_skip + 1)])
    return skipped, _end_states(tokenizer, ids, output.last_hidden_state)


def encode_phrases(
    tokenizer: CLIPTokenizer, text_encoder: CLIPTextModel, phrases: Sequence[str]
) -> Float[Tensor, "N D"]:
    """Return the feature of each of N >= 1 phrases: CLIP's pooled output before the projection.

    The released weights were trained on that feature (the final state at the end token), not on the
    projected one that CLIP compares with pictures.

    Raises:
        ValueError: a phrase is longer than the text encoder reads.
    """
    for phrase in phrases:
        check_length(tokenizer, phrase, "The phrase")
    phrases = [spell_out(tokenizer, phrase) for phrase in phrases]
    encoded = tokenizer(phrases, padding=True, return_tensors="pt").to(input_device(text_encoder))
    ids = encoded.input_ids
    states = text_encoder(ids, attention_mask=encoded.attention_mask).last_hidden_state
    return _end_states(tokenizer, ids, states)


def _end_states(
    tokenizer: CLIPTokenizer, ids: Int[Tensor, "N L"], states: Float[Tensor, "N L D"]
) -> Float[Tensor, "N D"]:
    """Return the state at the first end token of each text.

    Not `pooler_output`: with the configuration of SD 1.x it is the state at the largest id, which
    a learned word (textual inversion) has.
    """
    ends = (ids == tokenizer.eos_token_id).int().argmax(dim=1).to(states.device)
    return states[torch.arange(len(states), device=states.device), ends]
