"""Pictures that show how far a training run is."""

from collections.abc import Sequence

from PIL import Image

from gligen.pictures.images import contact_sheet, draw_layout
from gligen.pipeline import GligenPipeline
from gligen.request import Request

SHOWN = 192  # pixels of a sample on the sheet, shorter side at least


def paint_samples(pipeline: GligenPipeline, requests: Sequence[Request]) -> Image.Image:
    """Paint every request and show the pictures beside each other, layouts drawn over them."""
    pictures = []
    for request in requests:
        for image in pipeline.generate(request).images:
            scale = max(1, -(-SHOWN // min(image.size)))
            large = image.resize((image.width * scale, image.height * scale))
            pictures.append(draw_layout(large, request.layout))
    return contact_sheet(pictures, columns=min(4, len(pictures)))
