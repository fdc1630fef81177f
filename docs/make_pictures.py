"""Make the pictures of the README with the embedded model: `python docs/make_pictures.py`."""

from pathlib import Path

from PIL import Image

from gligen import Layout, Request, load_pipeline
from gligen.pictures.images import contact_sheet, draw_boxes

FOLDER = Path(__file__).parent / "images"
SIDE = 256  # pixels, to which the 64 px pictures are enlarged
FAST = {"sampler": "dpm++", "num_inference_steps": 20}

SCENES = {
    "a sun and a comet at night": ["a sun: 0.05,0.08,0.48,0.50", "a comet: 0.50,0.50,0.95,0.92"],
    "a house and a tree in a field": [
        "a house: 0.05,0.40,0.50,0.90",
        "a tree: 0.55,0.30,0.95,0.90",
    ],
    "a frog, an apple and a panda on a beach": [
        "a frog: 0.05,0.08,0.45,0.44",
        "an apple: 0.55,0.08,0.93,0.48",
        "a panda: 0.28,0.52,0.70,0.95",
    ],
    "a rocket and a donut on a blue background": [
        "a rocket: 0.08,0.10,0.50,0.55",
        "a donut: 0.50,0.55,0.95,0.92",
    ],
}
EDITS = ["an apple: 0.08,0.10,0.48,0.50", "a frog: 0.52,0.50,0.95,0.92"]


def enlarged(image: Image.Image) -> Image.Image:
    """Enlarge a picture for looking at it."""
    return image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def mirrored(layout: Layout) -> Layout:
    """Reflect every box through the middle of the picture."""
    boxes = [(1 - x1, 1 - y1, 1 - x0, 1 - y0) for x0, y0, x1, y1 in layout.boxes]
    return Layout.from_lists(layout.phrases, boxes)


def generation_sheet() -> tuple[Image.Image, list[Image.Image]]:
    """Draw each scene with its boxes, with mirrored boxes, and without grounding; same seed."""
    pipeline = load_pipeline()
    pictures, captions, plain = [], [], []
    for seed, (prompt, regions) in enumerate(SCENES.items(), start=3):
        layout = Layout.from_text(regions)
        for variant, tau, note in (
            (layout, 1.0, prompt),
            (mirrored(layout), 1.0, "boxes mirrored"),
            (layout, 0.0, "grounding off (tau 0)"),
        ):
            request = Request(prompt, variant, gate_schedule=tau, seed=seed, **FAST)
            image = pipeline.generate(request).images[0]
            plain.append(image)
            pictures.append(draw_boxes(enlarged(image), variant))
            captions.append(note)
    return contact_sheet(pictures, 3, captions), plain


def inpainting_sheet(picture: Image.Image) -> Image.Image:
    """Repaint two boxes of a picture."""
    pipeline = load_pipeline(kind="inpainting_text_box")
    layout = Layout.from_text(EDITS)
    request = Request(
        "an apple and a frog", layout, gate_schedule=1.0, inpaint_image=picture, seed=5, **FAST
    )
    result = pipeline.generate(request).images[0]
    holes = draw_boxes(enlarged(picture), layout)
    return contact_sheet([holes, enlarged(result)], 2, ["the picture and the holes", "repainted"])


def main() -> None:
    """Write the pictures into docs/images."""
    FOLDER.mkdir(exist_ok=True)
    sheet, plain = generation_sheet()
    sheet.save(FOLDER / "grounded.png")
    inpainting_sheet(plain[3]).save(FOLDER / "inpainted.png")


if __name__ == "__main__":
    main()
