"""The model that is judged: its pipelines, and how much of the synthetic world it knows."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gligen.training.bank import OPEN_SET_NAMES
from gligen.world import ALL_SPRITE_NAMES, SPRITE_NAMES

BOXES, INPAINTING = "generation_text_box", "inpainting_text_box"


@dataclass(frozen=True)
class Subject:
    """What is judged."""

    name: str  # as the report calls the model
    pipelines: Mapping[str, Any]  # `GligenPipeline` by kind
    names: tuple[str, ...] = SPRITE_NAMES  # sprites that the base knows
    knows_persons: bool = False
    device: str | None = None  # as `load_pipelines` takes it
    dtype: str | None = None  # likewise

    @property
    def grounded_names(self) -> tuple[str, ...]:
        """The sprites that are seen in grounded training."""
        return tuple(name for name in self.names if name not in OPEN_SET_NAMES)

    @property
    def open_names(self) -> tuple[str, ...]:
        """The sprites that only the base knows."""
        return tuple(name for name in self.names if name in OPEN_SET_NAMES)


def load_subject(
    source: str | Path,
    base: str | Path | None = None,
    device: str | None = None,
    dtype: str | None = None,
) -> Subject:
    """Load all kinds of a model.

    Raises:
        ValueError: the model cannot be had, or knows nothing of the synthetic world.
    """
    from gligen.loading import load_pipelines

    pipelines = load_pipelines(source, base=base, device=device, dtype=dtype)
    for pipeline in pipelines.values():
        pipeline.set_progress_bar_config(disable=True)
    tokenizer = next(iter(pipelines.values())).tokenizer
    names = tuple(name for name in ALL_SPRITE_NAMES if knows(tokenizer, name))
    if not set(names) & set(SPRITE_NAMES):
        raise ValueError(
            f"The model {str(source)!r} knows none of the synthetic world's sprites "
            f"({', '.join(SPRITE_NAMES)}): no word of them is in its vocabulary."
        )
    shown = str(source) if base is None else f"{source} on {base}"
    return Subject(shown, pipelines, names, knows(tokenizer, "person"), device, dtype)


def knows(tokenizer: Any, name: str) -> bool:
    """Tell whether every word of a name is one token, as what stood in the captions became."""
    return len(tokenizer.tokenize(name)) == len(name.split())


def fingerprint(unet: torch.nn.Module) -> str:
    """Return a short text that differs between trainings of a model, not between its loads."""
    sums = [f"{name} {p.detach().double().sum().item():.9g}" for name, p in unet.named_parameters()]
    return f"{zlib.crc32(chr(10).join(sums).encode()):08x}"
