"""Make the thumbnails of the page's examples: `python -m docs.make_thumbnails`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from demo import examples
from demo.components.examplerow import thumbnail_name
from gligen import Layout, Request, load_pipeline
from gligen.kinds import kind_named

FOLDER = Path(__file__).parents[1] / "demo" / "thumbnails"
SIDE = 112  # pixels; twice what the page shows, for sharp screens
SEED = 3
QUALITY = 72


def paint(kind: str, prompt: str, layout: Layout, **more: Any) -> Image.Image:
    """Paint an example with the settings that the page starts with."""
    tau = kind_named(kind).usual_tau
    request = Request(prompt, layout, seed=SEED, gate_schedule=tau, **more)
    return load_pipeline(kind=kind).generate(request).images[0]


def thumbnails() -> Iterator[tuple[str, Image.Image]]:
    """Yield what each example gives, with the name of its file."""
    for example in examples.GENERATE:
        layout = example.drawing().layout
        image = paint("generation_text_box", example.prompt, layout)
        yield thumbnail_name("generate", example.title), image
    for example in examples.INPAINT:
        drawing = example.drawing()
        more = {"inpaint_image": drawing.photo}
        image = paint("inpainting_text_box", example.prompt, drawing.layout, **more)
        yield thumbnail_name("inpaint", example.title), image
    for example in examples.KEYPOINTS:
        image = paint("keypoint", example.prompt, Layout(persons=example.drawing()))
        yield thumbnail_name("keypoints", example.title), image
    for example in examples.MAPS:
        image = paint(example.kind, example.prompt, Layout(map=example.drawing()))
        yield thumbnail_name("maps", example.title), image


def main() -> None:
    """Write the thumbnails into demo/thumbnails."""
    FOLDER.mkdir(exist_ok=True)
    for name, image in thumbnails():
        small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        small.save(FOLDER / name, quality=QUALITY, method=6)


if __name__ == "__main__":
    main()
