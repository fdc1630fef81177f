"""Make the pictures of the README with the embedded model: `python docs/make_pictures.py`."""

from pathlib import Path

import numpy as np
from PIL import Image

from gligen import Layout, Region, Request, load_pipeline
from gligen.person import Person
from gligen.pictures.ade import coloured
from gligen.pictures.images import contact_sheet, draw_boxes, draw_layout
from gligen.pictures.maps import canny_map
from gligen.world import compose_caption, draw_scene, load_sprite, sample_scene
from gligen.world.labels import draw_labels
from gligen.world.people import moved, sample_person

FOLDER = Path(__file__).parent / "images"
SIDE = 224  # pixels, to which the 64 px pictures are enlarged

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
    # Names that no picture with boxes showed in training: the base alone knows them.
    "a cat, a mushroom and a soccer ball in the snow": [
        "a cat: 0.05,0.08,0.48,0.50",
        "a mushroom: 0.55,0.10,0.92,0.55",
        "a soccer ball: 0.30,0.55,0.68,0.93",
    ],
}
EDITS = ["an apple: 0.08,0.10,0.48,0.50", "a frog: 0.52,0.50,0.95,0.92"]


def enlarged(image: Image.Image) -> Image.Image:
    """Enlarge a picture for looking at it."""
    return image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def paint(kind: str, prompt: str, layout: Layout, seed: int, **options) -> Image.Image:
    """Paint a picture with the default settings."""
    request = Request(prompt, layout, seed=seed, **options)
    return load_pipeline(kind=kind).generate(request).images[0]


def mirrored(layout: Layout) -> Layout:
    """Reflect every box through the middle of the picture."""
    boxes = [(1 - x1, 1 - y1, 1 - x0, 1 - y0) for x0, y0, x1, y1 in layout.boxes]
    return Layout.from_lists(layout.phrases, boxes)


def generation_sheet() -> Image.Image:
    """Draw each scene with its boxes, with mirrored boxes, and without grounding; same seed."""
    pictures, captions = [], []
    for seed, (prompt, regions) in enumerate(SCENES.items(), start=3):
        layout = Layout.from_text(regions)
        for variant, options, note in (
            (layout, {}, prompt),
            (mirrored(layout), {}, "boxes mirrored"),
            (layout, {"gate_schedule": 0.0}, "grounding off (tau 0)"),
        ):
            image = paint("generation_text_box", prompt, variant, seed, **options)
            pictures.append(draw_boxes(enlarged(image), variant))
            captions.append(note)
    return contact_sheet(pictures, 3, captions)


def inpainting_sheet() -> Image.Image:
    """Repaint two boxes of a picture."""
    layout = Layout.from_text(EDITS)
    picture = paint("generation_text_box", "a house in a field", Layout(()), seed=6)
    options = {"inpaint_image": picture}
    result = paint("inpainting_text_box", "an apple and a frog", layout, 5, **options)
    holes = draw_boxes(enlarged(picture), layout)
    return contact_sheet([holes, enlarged(result)], 2, ["the picture and the holes", "repainted"])


def kinds_sheet() -> Image.Image:
    """Show what each of the other kinds is given, and what comes of it."""
    pairs = [_from_references(), _from_joints(), *_from_maps()]
    captions = ["reference pictures", "joints", "classes of a map", "edges"]
    pictures = [enlarged(picture) for pair in pairs for picture in pair]
    notes = [note for caption in captions for note in (caption, "painted")]
    return contact_sheet(pictures, 4, notes)


def _from_references() -> tuple[Image.Image, Image.Image]:
    given = Image.new("RGB", (SIDE, SIDE), "white")
    boxes = {"dog": (0.08, 0.1, 0.5, 0.5), "apple": (0.52, 0.45, 0.92, 0.88)}
    regions = []
    for name, (x0, y0, x1, y1) in boxes.items():
        sprite = load_sprite(name)
        reference = Image.new("RGB", sprite.size, "white")
        reference.paste(sprite, mask=sprite)
        regions.append(Region("", (x0, y0, x1, y1), reference))
        size = (round((x1 - x0) * SIDE), round((y1 - y0) * SIDE))
        given.paste(reference.resize(size), (round(x0 * SIDE), round(y0 * SIDE)))
    layout = Layout(tuple(regions))
    result = paint("generation_text_image_box", "a painting on a beach", layout, seed=2)
    return given, draw_boxes(enlarged(result), layout)


def _from_joints() -> tuple[Image.Image, Image.Image]:
    rng = np.random.default_rng(5)
    persons = [moved(sample_person(rng, 0.6), x, 0.2) for x in (0.08, 0.5)]
    layout = Layout(persons=tuple(Person(person.joints) for person in persons))
    result = paint("keypoint", "two persons in a field", layout, seed=1)
    return draw_layout(Image.new("RGB", (SIDE, SIDE), "white"), layout), result


def _from_maps() -> list[tuple[Image.Image, Image.Image]]:
    rng = np.random.default_rng(1_000_003)
    scene = sample_scene(rng)
    prompt = compose_caption(scene, rng, location_share=0.0)
    labels = Image.fromarray(draw_labels(scene))
    edges = canny_map(Image.fromarray(draw_scene(scene, rng)), (64, 64))
    classes = coloured(np.asarray(labels))
    return [
        (classes.resize((SIDE, SIDE), 0), paint("semantic", prompt, Layout(map=labels), seed=3)),
        (edges.resize((SIDE, SIDE), 0), paint("canny", prompt, Layout(map=edges), seed=3)),
    ]


def main() -> None:
    """Write the pictures into docs/images."""
    FOLDER.mkdir(exist_ok=True)
    for name, sheet in (
        ("grounded", generation_sheet()),
        ("inpainted", inpainting_sheet()),
        ("kinds", kinds_sheet()),
    ):
        sheet.convert("RGB").save(FOLDER / f"{name}.jpg", quality=88)


if __name__ == "__main__":
    main()
