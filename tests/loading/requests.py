"""What the loaded pipelines are asked for."""

import numpy as np

from gligen.kinds import KINDS
from gligen.layout import Layout
from gligen.request import Request

TEXT_KINDS = GENERATION, INPAINTING = KINDS[:2]
REQUEST = Request(
    "a dog", Layout.from_text(["a dog: 0.1,0.1,0.6,0.8"]), num_inference_steps=2, seed=1
)


def pixels(pipeline, request=REQUEST):
    return np.asarray(pipeline.generate(request).images[0])
