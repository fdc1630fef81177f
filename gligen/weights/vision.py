"""What the text-image kinds read reference pictures with: CLIP's vision half and a matrix."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.pipelines.stable_diffusion.clip_image_project_model import CLIPImageProjection
from torch import Tensor
from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModelWithProjection

from gligen.kinds import TEXT_IMAGE_BOX, kind_named
from gligen.references import projection_module, read_projection
from gligen.weights.adapters import Adapter
from gligen.weights.building import check_shapes
from gligen.weights.folders import read_json, read_part
from gligen.weights.hub import fetch_image_encoder
from gligen.weights.parts import UNREADABLE, filled, make_buffers, settle, unreadable
from gligen.weights.released import released_model
from gligen.weights.sources import Source


@dataclass(frozen=True)
class Vision:
    """What reads reference pictures; its parts are on their device."""

    image_encoder: CLIPVisionModelWithProjection
    processor: Any


class Eyes:
    """What the text-image kinds read reference pictures with; read once, and only for them."""

    def __init__(
        self,
        sources: Sequence[Source],
        device: torch.device,
        dtype: torch.dtype,
        projection: Path | None,
    ):
        self._sources = sources
        self._device, self._dtype = device, dtype
        self._projection = projection
        self._vision: Vision | None = None

    def for_kind(self, kind: str, adapter: Adapter) -> dict[str, Any]:
        """Return the further components of a pipeline; none where there are none to be had.

        Without them a model still paints phrases, and says what it lacks for pictures.
        """
        if kind_named(kind).modality != TEXT_IMAGE_BOX:
            return {}
        weight = adapter.projection
        if self._projection is not None:
            matrix = read_projection(self._projection, adapter.feature_width)
            weight = matrix.T.contiguous()
        if weight is None:
            return {}
        vision = self._find_vision(
            _recorded_encoder(adapter), released_model(kind).image_encoder_id
        )
        if vision is None:
            return {}
        return {
            "image_encoder": vision.image_encoder,
            "processor": vision.processor,
            "image_project": build_projection(weight, self._device, self._dtype),
        }

    def _find_vision(self, recorded: str | None, hub_id: str | None) -> Vision | None:
        if self._vision is None:
            folders = [s.model.folder for s in self._sources if s.model and s.model.folder]
            folder = next((f for f in folders if (f / "image_encoder").is_dir()), None)
            if folder is not None:
                self._vision = read_vision(folder, self._device, self._dtype)
            elif recorded or hub_id:
                self._vision = self._fetch_vision(recorded or str(hub_id))
        return self._vision

    def _fetch_vision(self, name: str) -> Vision | None:
        try:
            folder, part = find_vision(name)
        except ValueError as error:
            warnings.warn(f"Reference pictures cannot be read: {error}", stacklevel=5)
            return None
        return read_vision(folder, self._device, self._dtype, part)


def find_vision(name: str) -> tuple[Path, str]:
    """Return the folder of an image encoder, and the part of that folder that it is.

    Args:
        name: a folder that is an image encoder, or has one in `image_encoder`; or a hub id.

    Raises:
        ValueError: there is no such folder, and it is not to be had from the hub either.
    """
    place = Path(name).expanduser()
    if not place.is_dir():
        return fetch_image_encoder(name), ""
    return place, "image_encoder" if (place / "image_encoder").is_dir() else ""


def _recorded_encoder(adapter: Adapter) -> str | None:
    """Return the image encoder that an adapter says it was trained with."""
    settings = (adapter.notes or {}).get("settings")
    name = settings.get("image_encoder") if isinstance(settings, dict) else None
    return name if isinstance(name, str) else None


def read_vision(
    folder: Path, device: torch.device, dtype: torch.dtype | None, part: str = "image_encoder"
) -> Vision:
    """Read what encodes reference pictures.

    Args:
        folder: of a model with `image_encoder`, and `processor` where there is one.
        device: of all weights.
        dtype: of all weights; None: as they are.
        part: the folder in it; "" where the folder is an image encoder itself.

    Raises:
        ValueError: it is damaged, or of another kind.
    """
    try:
        config = CLIPVisionConfig.from_dict(_vision_config(read_json(folder / part, "config.json")))
        with torch.device("meta"):
            encoder = CLIPVisionModelWithProjection(config)
        wanted = encoder.state_dict()
        # The whole of CLIP is published in one file; the half that reads text is left there.
        found = {k: v for k, v in read_part(folder, part).items() if not _is_of_text_half(k)}
        found = {k: v for k, v in found.items() if not k.endswith("position_ids")}
        num_patches = (config.image_size // config.patch_size) ** 2
        make_buffers(encoder, num_patches + 1)
        check_shapes(wanted, found)
    except UNREADABLE as error:
        raise ValueError(unreadable(folder, error)) from None
    encoder = settle(filled(encoder, found, "image encoder"), device, dtype)
    settings = folder / "processor"
    if (settings / "preprocessor_config.json").is_file():
        processor = CLIPImageProcessorPil.from_pretrained(settings, local_files_only=True)
    else:
        processor = CLIPImageProcessorPil()  # CLIP's own mean and deviation
    return Vision(encoder, processor)


def build_projection(
    weight: Tensor, device: torch.device, dtype: torch.dtype | None
) -> CLIPImageProjection:
    """Build the module that holds the projection matrix, from its weight as nn.Linear has it."""
    return settle(projection_module(weight.T), device, dtype or weight.dtype)


def _vision_config(config: dict[str, Any]) -> dict[str, Any]:
    inner = config.get("vision_config")
    return {"projection_dim": config.get("projection_dim"), **inner} if inner else config


def _is_of_text_half(key: str) -> bool:
    return key.startswith(("text_model.", "text_projection.", "logit_scale"))
