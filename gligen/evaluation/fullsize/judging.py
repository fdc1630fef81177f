"""What is seen in each picture: the detections, and how well CLIP finds the caption in it."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from PIL import Image

from gligen.evaluation.fullsize.detectors import Detector, fetch
from gligen.evaluation.fullsize.layouts import Asked, Category, Selection
from gligen.evaluation.fullsize.options import ALL, Judging

ClipScore = Callable[[Sequence[Image.Image], Sequence[str]], list[float]]


def detect(
    detector: Detector,
    pictures: Sequence[Image.Image],
    batch: Sequence[Asked],
    selection: Selection,
    judging: Judging,
    is_inpainting: bool,
) -> list[list[dict[str, Any]]]:
    """Return the detections in each picture, in COCO's form of results.

    Of a repainted picture only what is in the hole and of its category is kept: the rest of the
    picture is real, and nobody asked for it.
    """
    everything = selection.named
    queries = [
        everything if judging.queries == ALL else queries_of(item, everything) for item in batch
    ]
    results = []
    for item, picture, found in zip(batch, pictures, detector(pictures, queries), strict=True):
        entries = []
        for detection in found:
            x0, y0, x1, y1 = detection.box
            centre = ((x0 + x1) / 2 / picture.width, (y0 + y1) / 2 / picture.height)
            if is_inpainting and not _is_hole(item, detection.category, centre):
                continue
            entries.append(
                {
                    "image_id": item.id,
                    "category_id": detection.category,
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "score": detection.score,
                }
            )
        results.append(entries)
    return results


def queries_of(item: Asked, categories: Sequence[Category]) -> tuple[Category, ...]:
    """Return the categories that a layout asks for, each once."""
    return tuple(category for category in categories if category.id in item.categories)


def _is_hole(item: Asked, category: int, centre: tuple[float, float]) -> bool:
    (hole,) = item.layout.boxes
    x, y = centre
    is_inside = hole[0] <= x <= hole[2] and hole[1] <= y <= hole[3]
    return is_inside and category in item.categories


def load_clip(name: str, device: str) -> ClipScore:
    """Load a CLIP model and return the function that scores pictures against captions.

    The score is 100 times the cosine of the two embeddings, and 0 where that is negative (Hessel et
    al., "CLIPScore", without their factor 2.5).

    Raises:
        ValueError: it cannot be had, or is no CLIP model.
    """
    from transformers import AutoConfig, AutoProcessor, CLIPConfig, CLIPModel

    config = type(fetch(AutoConfig.from_pretrained, name))
    if config is not CLIPConfig:
        raise ValueError(
            f"The model {name!r} ({config.__name__}) is no CLIP model; give one such as "
            "openai/clip-vit-large-patch14."
        )
    model = fetch(CLIPModel.from_pretrained, name).to(device).eval()
    processor = fetch(AutoProcessor.from_pretrained, name)

    @torch.no_grad()
    def score(pictures: Sequence[Image.Image], captions: Sequence[str]) -> list[float]:
        inputs = processor(
            text=list(captions),
            images=list(pictures),
            return_tensors="pt",
            padding=True,
            truncation=True,
        ).to(device)
        outputs = model(**inputs)
        cosines = torch.cosine_similarity(outputs.image_embeds, outputs.text_embeds)
        return (100 * cosines.clamp(min=0)).tolist()

    return score
