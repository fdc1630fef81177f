"""What the text-image kinds are trained with: an image encoder and its projection matrix."""

from pathlib import Path
from typing import Any

import torch

from gligen.kinds import TEXT_IMAGE_BOX, kind_named
from gligen.references import read_projection
from gligen.training.settings import TrainingSettings
from gligen.weights.checkpoints import WholeModel
from gligen.weights.folders import find_weights
from gligen.weights.released import released_model
from gligen.weights.vision import build_projection, find_vision, read_vision


def reading_parts(
    settings: TrainingSettings, base: WholeModel, device: torch.device
) -> dict[str, Any]:
    """Return the components of a pipeline that read reference pictures; none for other kinds.

    They are those that the settings name; else those of the base's own folder; else, on a base as
    wide as the released models', the image encoder that these use.

    Args:
        settings: of the run.
        base: the whole model that is trained on.
        device: of all weights.

    Raises:
        ValueError: a part is lacking, cannot be read, or is of another width than phrases.
    """
    if kind_named(settings.kind).modality != TEXT_IMAGE_BOX:
        return {}
    width = base.unet[0]["cross_attention_dim"]
    folder, part = _find_encoder(settings, base, width)
    vision = read_vision(folder, device, torch.float32, part)
    found = vision.image_encoder.config.projection_dim
    if found != width:
        raise ValueError(
            f"The image encoder in {str(folder)!r} gives features of {found} numbers, and phrases "
            f"have {width} on the base {settings.base!r}; set image_encoder to one of {width}, "
            "or train one (python -m gligen.training.image_encoder)."
        )
    matrix = _find_projection(settings, base, folder, width)
    return {
        "image_encoder": vision.image_encoder,
        "processor": vision.processor,
        "image_project": build_projection(matrix, device, torch.float32),
    }


def _find_encoder(settings: TrainingSettings, base: WholeModel, width: int) -> tuple[Path, str]:
    own = base.folder is not None and (base.folder / "image_encoder").is_dir()
    if own and settings.image_encoder is not None:
        # Whoever puts the adapter on this base gets the base's, so it must be trained with that.
        raise ValueError(
            f"The base {settings.base!r} has an image encoder of its own; leave out image_encoder "
            f"({settings.image_encoder!r}), or give a base without one."
        )
    if settings.image_encoder is not None:
        return find_vision(settings.image_encoder)
    if base.folder is not None and own:
        return base.folder, "image_encoder"
    released = released_model(settings.kind)
    if released.image_encoder_id is not None and released.token_width == width:
        return find_vision(released.image_encoder_id)
    raise ValueError(
        f"The kind {settings.kind} reads reference pictures, and the base {settings.base!r} has no "
        "image encoder; set image_encoder to the folder or hub id of a CLIP vision model with "
        f"features of {width} numbers, or train one (python -m gligen.training.image_encoder)."
    )


def _find_projection(
    settings: TrainingSettings, base: WholeModel, folder: Path, width: int
) -> torch.Tensor:
    """Return the projection as the weight of nn.Linear."""
    if settings.projection is not None:
        return read_projection(settings.projection, width).T.contiguous()
    if (folder / "image_project").is_dir():
        file = find_weights(folder, "image_project")[0]
        return read_projection(file, width).T.contiguous()
    if base.projection is not None:
        return base.projection
    raise ValueError(
        f"Neither the image encoder in {str(folder)!r} nor the base {settings.base!r} comes with a "
        "projection matrix, which takes features of pictures to those of phrases; set projection "
        "to a file with one, such as the authors' 'projection_matrix'."
    )
