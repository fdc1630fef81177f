"""Reference pictures and style pictures, as features that stand beside those of phrases.

Shapes: N pictures, D width of a feature.
"""

import pickle
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.pipelines.stable_diffusion.clip_image_project_model import CLIPImageProjection
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from transformers import CLIPVisionModelWithProjection
from transformers.image_processing_utils import BaseImageProcessor
from transformers.processing_utils import ProcessorMixin

from gligen.encoding import input_device
from gligen.layout import Box
from gligen.pictures.images import flattened
from gligen.request import STYLE_BOXES
from gligen.weights.weightfiles import read_weight_file

# The mean norm of the phrase features (CLIP's pooled output before its projection) of the text
# encoder in Stable Diffusion 1.x. The weights were trained on pictures scaled to it, so that both
# weigh the same.
REFERENCE_NORM = 28.7


@dataclass(frozen=True)
class ReferenceOptions:
    """How reference pictures and the style picture of a layout are read."""

    style_box: Box = STYLE_BOXES["official"]  # of the token that carries the style picture
    crop: bool = False  # the middle square alone, instead of the whole squashed to a square
    norm: float = REFERENCE_NORM  # of the feature of every picture


AS_TRAINED = ReferenceOptions()


@torch.no_grad()
def encode_references(
    image_encoder: CLIPVisionModelWithProjection,
    image_project: CLIPImageProjection,
    processor: ProcessorMixin | BaseImageProcessor,
    pictures: Sequence[Image.Image],
    crop: bool = False,
    normalize: float = REFERENCE_NORM,
) -> Float[Tensor, "N D"]:
    """Return the feature of each of N >= 1 pictures; each different one is encoded once.

    The feature is CLIP's projected one, taken back to the space of phrases by the matrix, divided
    by its norm and scaled.

    Args:
        image_encoder: says, by its configuration, which size it reads.
        image_project: see `projection_module`.
        processor: gives CLIP's mean and deviation; sizes are not taken from it.
        pictures: in any mode and size, also turned (EXIF) or transparent, which becomes white.
        crop: True: the middle square alone is seen, as in the original's inference. False: the
            whole is squashed to a square, as the weights were trained.
        normalize: norm of every feature returned.

    Raises:
        ValueError: there are no pictures, or one has no pixels.
    """
    if not pictures:
        raise ValueError("There are no reference pictures to encode; give at least one.")
    normaliser: Any = getattr(processor, "image_processor", processor)
    side = image_encoder.config.image_size
    squares = [square_picture(picture, side, crop) for picture in pictures]
    # Equal squares give equal features, however often a picture was opened. One at a time, so that
    # a feature does not depend, in its last bits, on what else is in the request.
    feature_of: dict[bytes, Tensor] = {}
    for square in squares:
        key = square.tobytes()
        if key in feature_of:
            continue
        inputs = normaliser(
            images=square, do_resize=False, do_center_crop=False, return_tensors="pt"
        )
        pixels = inputs["pixel_values"].to(input_device(image_encoder), image_encoder.dtype)
        feature = image_encoder(pixels).image_embeds[0]
        feature_of[key] = _project(image_project, feature, normalize)
    return torch.stack([feature_of[square.tobytes()] for square in squares])


def _project(
    image_project: CLIPImageProjection, feature: Float[Tensor, " D"], norm: float
) -> Float[Tensor, " D"]:
    projected = image_project(feature.to(image_project.dtype)).float()
    return (projected / projected.norm() * norm).to(image_project.dtype)


def square_picture(picture: Image.Image, side: int, crop: bool) -> Image.Image:
    """Return the picture as RGB of `side` x `side`: squashed, or its middle.

    Raises:
        ValueError: the picture has no pixels.
    """
    rgb = flattened(picture, "The reference picture")
    if crop:
        # The steps and roundings are those of CLIP's own processor.
        width, height = (int(side * length / min(rgb.size)) for length in rgb.size)
        left, top = (width - side) // 2, (height - side) // 2
        whole = rgb.resize((width, height), Image.Resampling.BICUBIC)
        return whole.crop((left, top, left + side, top + side))
    return rgb.resize((side, side), Image.Resampling.BICUBIC)


def projection_module(matrix: Float[Tensor, "D D"]) -> CLIPImageProjection:
    """Return the module that multiplies a feature (as a row, on the left) by `matrix`.

    A linear layer multiplies by the transpose of its weight, so that is what it holds.
    """
    module = CLIPImageProjection(hidden_size=matrix.shape[0])
    module.project.weight.data = matrix.T.contiguous().clone()
    return module.requires_grad_(False).eval()


def projection_matrix(module: CLIPImageProjection) -> Float[Tensor, "D D"]:
    """Return the matrix as the original stores it; the inverse of `projection_module`."""
    return module.project.weight.detach().T.contiguous()


def read_projection(path: str | Path, width: int | None = None) -> Float[Tensor, "D D"]:
    """Read the matrix that a feature is multiplied by (feature @ matrix), in float32.

    Args:
        path: the original's `projection_matrix` (one bare tensor), or the weights of diffusers'
            `image_project` (`project.weight`, which is the transpose).
        width: D, the text encoder's width, if the matrix must fit one.

    Raises:
        ValueError: the file is missing, damaged or a pickle of anything but weights (no code in it
            is run), holds no such matrix, or it is not square, not `width` wide, not of finite
            numbers, or zero.
    """
    path = Path(path)
    matrix = _bare_tensor(path)
    if matrix is None:
        weights = read_weight_file(path).sections.get("", {})
        if "project.weight" not in weights:
            raise ValueError(
                f"The file {str(path)!r} holds no projection matrix. Give the original's "
                "'projection_matrix', or the weights in a diffusers folder's 'image_project'."
            )
        matrix = weights["project.weight"].T
    _check_matrix(matrix, path, width)
    return matrix.float().contiguous()


def _bare_tensor(path: Path) -> Tensor | None:
    """Return the tensor if the file holds one alone; whatever else it holds is read elsewhere."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, AttributeError, EOFError, IndexError, KeyError):
        return None
    except (OSError, RuntimeError, TypeError, ValueError):
        return None
    return content if isinstance(content, Tensor) else None


def _check_matrix(matrix: Tensor, path: Path, width: int | None) -> None:
    owner = f"The projection matrix in {str(path)!r}"
    shape = " x ".join(map(str, matrix.shape)) or "a single number"
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(
            f"{owner} is {shape}; it must be square, as wide as the text encoder (768 x 768 for "
            "Stable Diffusion 1.x). The original's file is called 'projection_matrix'."
        )
    if width is not None and matrix.shape[0] != width:
        raise ValueError(
            f"{owner} is {shape}, and the text encoder is {width} wide; take the matrix that was "
            "made for this model."
        )
    if not matrix.is_floating_point() or not matrix.isfinite().all():
        raise ValueError(
            f"{owner} contains NaN, infinity or whole numbers; the file is damaged. Get it again."
        )
    if not matrix.any():
        raise ValueError(f"{owner} is zero everywhere; the file is damaged. Get it again.")
