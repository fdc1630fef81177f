"""GLIGEN: say where each thing goes in a generated picture.

from gligen import Layout, Request, load_pipeline

pipeline = load_pipeline()
layout = Layout.from_text(["a sun: 0.1,0.1,0.5,0.5", "a comet: 0.5,0.4,0.9,0.9"])
result = pipeline.generate(Request("a sun and a comet at night", layout, seed=7))
result.images[0].save("sky.png")
"""

from typing import TYPE_CHECKING

from gligen.layout import Layout, Region
from gligen.request import Request, Result

if TYPE_CHECKING:
    from gligen.loading import load_pipeline
    from gligen.pipeline import GligenPipeline

__version__ = "0.1.0"
__all__ = ["GligenPipeline", "Layout", "Region", "Request", "Result", "load_pipeline"]


def __getattr__(name: str):
    """Import what needs torch and diffusers (seconds) only when it is asked for."""
    match name:
        case "GligenPipeline":
            from gligen.pipeline import GligenPipeline

            return GligenPipeline
        case "load_pipeline":
            from gligen.loading import load_pipeline

            return load_pipeline
    raise AttributeError(f"module 'gligen' has no attribute {name!r}")
