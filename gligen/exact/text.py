"""All texts of a run read in one pass of the text encoder, and kept for the next run.

Shapes: B prompts, N phrases, L text tokens, D width of the text encoder.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from gligen.encoding import check_length, encode_texts

KEPT_BATCHES = 16  # of each text encoder; a batch of a prompt and ten phrases takes under 2 MB

_Key = tuple[tuple[str, ...], int | None, float, int, tuple[float, ...]]
_kept: WeakKeyDictionary[CLIPTextModel, OrderedDict[_Key, "TextBatch"]] = WeakKeyDictionary()


@dataclass(frozen=True)
class TextBatch:
    """What the text encoder said of each of some texts."""

    texts: tuple[str, ...]
    states: Float[Tensor, "T L D"]
    features: Float[Tensor, "T D"]

    def prompts(self, texts: Sequence[str]) -> Float[Tensor, "B L D"]:
        """Return prompts as cross-attention reads them."""
        return self.states[self._rows(texts)]

    def phrases(self, texts: Sequence[str]) -> Float[Tensor, "N D"]:
        """Return the features of phrases."""
        return self.features[self._rows(texts)]

    def _rows(self, texts: Sequence[str]) -> Tensor:
        rows = [self.texts.index(text) for text in texts]
        return torch.tensor(rows, device=self.states.device)


@torch.no_grad()
def read_texts(
    tokenizer: CLIPTokenizer,
    text_encoder: CLIPTextModel,
    prompts: Sequence[str],
    phrases: Sequence[str],
    clip_skip: int | None = None,
    lora_strength: float = 1.0,
) -> TextBatch:
    """Read all texts in one pass, or return what was read of the very same texts before.

    A batch is kept as a whole, because the rounding of a text depends on those beside it: so a
    request has the same result whatever was asked before it.

    Args:
        tokenizer: of the text encoder.
        text_encoder: CLIP's; LoRAs in it have the strength that is told here for keeping.
        prompts: cut where they are longer than the text encoder reads.
        phrases: refused where they are.
        clip_skip: last layers that prompts leave out; phrases always have all.
        lora_strength: of LoRAs in the text encoder, in force while this is called.

    Raises:
        ValueError: a phrase is too long.
    """
    for phrase in phrases:
        check_length(tokenizer, phrase, "The phrase")
    texts = tuple(dict.fromkeys([*prompts, *phrases]))
    if not texts:
        return TextBatch((), torch.empty(0, 0, 0), torch.empty(0, 0))
    if _is_changeable(text_encoder):
        return TextBatch(texts, *encode_texts(tokenizer, text_encoder, texts, clip_skip))
    kept = _kept.setdefault(text_encoder, OrderedDict())
    key = (texts, clip_skip, lora_strength, len(tokenizer), _fingerprint(text_encoder))
    if key not in kept:
        kept[key] = TextBatch(texts, *encode_texts(tokenizer, text_encoder, texts, clip_skip))
    kept.move_to_end(key)
    while len(kept) > KEPT_BATCHES:
        kept.popitem(last=False)
    return kept[key]


def _is_changeable(text_encoder: CLIPTextModel) -> bool:
    """Whether there may be more to the encoder than its weights: layers put in, weights elsewhere.

    Adapters of LoRAs have strengths of their own, and offloaded weights cannot be compared.
    """
    return any(
        parameter.device.type == "meta" or ".lora_" in name or ".base_layer." in name
        for name, parameter in text_encoder.named_parameters()
    )


def _fingerprint(text_encoder: CLIPTextModel) -> tuple[float, ...]:
    """Return a number for each weight that tells whether somebody changed it.

    Versions of tensors would be quicker, but those who merge LoRAs write past them. Every element
    has another factor, so that an exchange of two rows is seen too.
    """
    sums = []
    for weight in text_encoder.parameters():
        matrix = weight.detach().reshape(len(weight), -1).float()
        rows, columns = (_factors(size, weight.device) for size in matrix.shape)
        sums.append(rows @ (matrix @ columns))
    return tuple(torch.stack(sums).tolist())


@cache
def _factors(size: int, device: torch.device) -> Tensor:
    return torch.rand(size, generator=torch.Generator().manual_seed(size)).to(device)
