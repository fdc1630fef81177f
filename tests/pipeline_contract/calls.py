"""Small layouts and calls for every kind."""

import numpy as np
import torch
from PIL import Image

from gligen.kinds import KINDS, kind_named
from gligen.layout import Layout, Region
from gligen.person import JOINTS, Person
from gligen.pipeline import GligenPipeline

# One of each modality and task, where every kind would tell nothing more.

SOME = ("generation_text_box", "inpainting_text_image_box", "keypoint", "canny")
FOLDERS = tuple(kind for kind in KINDS if kind_named(kind).takes_regions)
BOXES = ((0.125, 0.125, 0.625, 0.625), (0.5, 0.375, 1.0, 1.0))


def picture(seed: int, size: int = 64) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 200, (size, size, 3), dtype=np.uint8)
    return Image.fromarray(values)


def layout_for(kind: str, seed: int = 0) -> Layout:
    """Return a layout that the kind reads; another seed gives another one."""
    rng = np.random.default_rng(seed)
    match kind_named(kind).modality:
        case "keypoint":
            points = rng.uniform(0.1, 0.9, (len(JOINTS), 2)).tolist()
            return Layout(persons=(Person(tuple(map(tuple, points))),))
        case "map" if kind == "semantic":
            return Layout(map=Image.fromarray(rng.integers(0, 152, (64, 64), np.uint8)))
        case "map" if kind == "normal":
            angle = rng.uniform(0, 2 * np.pi, (64, 64))
            normals = np.stack([0.6 * np.cos(angle), 0.6 * np.sin(angle), 0 * angle + 0.8], -1)
            return Layout(map=Image.fromarray(((normals + 1) * 127.5).astype(np.uint8)))
        case "map":
            gray = Image.fromarray(rng.integers(0, 200, (64, 64), np.uint8))
            return Layout(map=gray.convert("RGB"))
    phrases = [("a dog", "a cat", "a sun")[(seed + i) % 3] for i in range(2)]
    image = picture(seed + 1) if "image" in kind else None
    return Layout((Region(phrases[0], BOXES[0], image), Region(phrases[1], BOXES[1])))


def inputs(pipeline: GligenPipeline, **changes):
    """Return the arguments of a short call."""
    options = {
        "prompt": "a dog",
        "layout": layout_for(pipeline.kind),
        "num_inference_steps": 2,
        "gligen_scheduled_sampling_beta": 1.0,
        "generator": torch.Generator().manual_seed(3),
        "output_type": "latent",
    }
    if pipeline.kind.startswith("inpainting"):
        options["gligen_inpaint_image"] = picture(9)
        options["gligen_inpaint_mask"] = mask()
    return {**options, **changes}


def mask() -> Image.Image:
    hole = Image.new("L", (64, 64))
    hole.paste(255, (8, 8, 56, 56))
    return hole


def call(pipeline: GligenPipeline, **changes):
    return pipeline(**inputs(pipeline, **changes)).images


def difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Return the greatest difference as a share of the greatest expected value."""
    found, expected = found.float(), expected.float()
    return float((found - expected).abs().max() / expected.abs().max())
