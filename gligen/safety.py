"""The safety checker that Stable Diffusion was released with: had from the hub, put on pipelines.

It looks at finished pictures and previews, and paints those black that it takes for sexual content.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from transformers import CLIPImageProcessorPil

from gligen.kinds import KINDS
from gligen.pipeline import GligenPipeline
from gligen.weights.hub import CHECKER_FOLDERS, fetch_safety_checker
from gligen.weights.released import released_model


@dataclass(frozen=True)
class SafetyChecker:
    """The two parts of a pipeline that check its pictures."""

    safety_checker: StableDiffusionSafetyChecker
    feature_extractor: Any


def is_released(source: str | Path) -> bool:
    """Whether a source is one of the released models, by their common name or their hub ids."""
    models = [released_model(kind) for kind in KINDS]
    ids = {name for model in models for name in (model.diffusers_id, model.official_id)}
    return str(source) == "official" or str(source) in ids


def load_safety_checker(
    device: str | torch.device, dtype: torch.dtype, folder: Path | None = None
) -> SafetyChecker:
    """Load the checker.

    Args:
        device: where it works.
        dtype: of its weights and its input, the pipelines' own.
        folder: of a Stable Diffusion that holds it; None: the released one's, from the hub.

    Raises:
        ValueError: it is not in the hub's cache and cannot be fetched, or cannot be read.
    """
    if folder is None:
        folder = fetch_safety_checker(released_model(KINDS[0]).base_id)
    checker, extractor = (folder / name for name in CHECKER_FOLDERS)
    try:
        model = StableDiffusionSafetyChecker.from_pretrained(
            checker, torch_dtype=dtype, use_safetensors=True
        )
        processor = CLIPImageProcessorPil.from_pretrained(extractor)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ValueError(
            f"The safety checker in {str(folder)!r} cannot be read ({reason})."
        ) from None
    return SafetyChecker(model.to(device).eval(), processor)


def check_pictures_of(pipelines: Iterable[GligenPipeline], checker: SafetyChecker) -> None:
    """Let the checker look at everything that the pipelines make from now on."""
    for pipeline in pipelines:
        pipeline.register_modules(
            safety_checker=checker.safety_checker, feature_extractor=checker.feature_extractor
        )
