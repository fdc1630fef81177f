"""Writes small datasets in the forms that are found in the world, with their true field names."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gligen.data import Dataset, open_dataset
from gligen.person import JOINTS

WIDTH, HEIGHT = 80, 40  # of all pictures


def open_here(path: Path | list[Path], tmp_path: Path, **options: Any) -> Dataset:
    return open_dataset(path, cache=tmp_path / "cache", **options)


def counts(dataset: Dataset) -> dict[str, int]:
    return dataset.report.counts


def write_picture(path: Path, colour: str = "red", size: tuple[int, int] = (WIDTH, HEIGHT)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def write_json(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def write_lines(path: Path, *entries: Any) -> Path:
    lines = [entry if isinstance(entry, str) else json.dumps(entry) for entry in entries]
    path.write_text("\n".join(lines) + "\n")
    return path


def images(*identities: int) -> list[dict[str, Any]]:
    """Return the "images" part of a COCO file."""
    return [
        {
            "license": 4,
            "file_name": f"{identity:012}.jpg",
            "coco_url": f"http://images.cocodataset.org/val2017/{identity:012}.jpg",
            "height": HEIGHT,
            "width": WIDTH,
            "date_captured": "2013-11-14 17:02:52",
            "id": identity,
        }
        for identity in identities
    ]


def box(identity: int, image: int, category: int, bbox: list[float], crowd: int = 0) -> dict:
    """Return an annotation of instances_*.json."""
    x, y, w, h = bbox
    return {
        "segmentation": [[x, y, x + w, y, x + w, y + h]],
        "area": w * h,
        "iscrowd": crowd,
        "image_id": image,
        "bbox": bbox,
        "category_id": category,
        "id": identity,
    }


CATEGORIES = [
    {"supercategory": "person", "id": 1, "name": "person"},
    {"supercategory": "animal", "id": 18, "name": "dog"},
]


def write_coco(root: Path, split: str = "val2017") -> Path:
    """Write two pictures with boxes and captions: 139 has two boxes, 285 a crowd."""
    for image in images(139, 285):
        write_picture(root / split / image["file_name"])
    write_json(
        root / "annotations" / f"instances_{split}.json",
        {
            "info": {"description": "COCO 2017 Dataset"},
            "licenses": [],
            "images": images(139, 285),
            "annotations": [
                box(1, 139, 18, [8.0, 4.0, 40.0, 30.0]),
                box(2, 139, 1, [60.0, 10.0, 20.5, 10.0]),
                box(3, 285, 1, [0.0, 0.0, 80.0, 40.0], crowd=1),
            ],
            "categories": CATEGORIES,
        },
    )
    write_json(
        root / "annotations" / f"captions_{split}.json",
        {
            "images": images(139, 285),
            "annotations": [
                {"image_id": 139, "id": 67, "caption": "A dog beside\na person."},
                {"image_id": 139, "id": 68, "caption": "A walk."},
                {"image_id": 285, "id": 69, "caption": "Many people."},
            ],
        },
    )
    return root


def joints(**seen: tuple[float, float, int]) -> list[float]:
    """Return COCO's 51 numbers, zeros but for the joints that are named."""
    numbers: list[float] = []
    for name in JOINTS:
        numbers += seen.get(name.replace(" ", "_"), (0, 0, 0))
    return numbers


def person(image: int, keypoints: list[float], bbox: list[float]) -> dict[str, Any]:
    """Return an annotation of person_keypoints_*.json."""
    numbers = sum(v > 0 for v in keypoints[2::3])
    return box(7, image, 1, bbox) | {"num_keypoints": numbers, "keypoints": keypoints}


PANOPTIC_CATEGORIES = [
    {"supercategory": "person", "isthing": 1, "id": 1, "name": "person"},
    {"supercategory": "animal", "isthing": 1, "id": 18, "name": "dog"},
    {"supercategory": "wall", "isthing": 0, "id": 199, "name": "wall-other-merged"},
]


def write_panoptic(root: Path, split: str = "val2017") -> Path:
    """Write one picture whose left half is a dog (segment 1000000) and whose right is wall (5)."""
    write_picture(root / split / f"{139:012}.jpg")
    colours = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    colours[:, :40] = (1000000 % 256, 1000000 // 256 % 256, 1000000 // 65536)
    colours[:20, 40:] = (5, 0, 0)  # below, nobody labelled anything
    path = root / "annotations" / f"panoptic_{split}" / f"{139:012}.png"
    path.parent.mkdir(parents=True)
    Image.fromarray(colours).save(path)
    segments = [
        {"id": 1000000, "category_id": 18, "area": 1600, "bbox": [0, 0, 40, 40], "iscrowd": 0},
        {"id": 5, "category_id": 199, "area": 800, "bbox": [40, 0, 40, 20], "iscrowd": 0},
    ]
    annotation = {"segments_info": segments, "file_name": f"{139:012}.png", "image_id": 139}
    write_json(
        root / "annotations" / f"panoptic_{split}.json",
        {"images": images(139), "annotations": [annotation], "categories": PANOPTIC_CATEGORIES},
    )
    return root


FLICKR_XML = f"""<annotation>
  <filename>1000092795.jpg</filename>
  <size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>
  <object><name>1</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>40</xmax><ymax>40</ymax></bndbox>
  </object>
  <object><name>1</name><name>2</name>
    <bndbox><xmin>41</xmin><ymin>11</ymin><xmax>80</xmax><ymax>20</ymax></bndbox></object>
  <object><name>3</name><scene>1</scene><nobndbox>0</nobndbox></object>
</annotation>
"""
FLICKR_SENTENCES = (
    "[/EN#1/people Two young guys] see [/EN#2/bodyparts their hands] in [/EN#3/scene the yard] .",
    "[/EN#1/people/other Two men] and [/EN#0/notvisual who] .",
)


def write_flickr(root: Path, name: str = "1000092795") -> Path:
    for folder in ("Sentences", "Annotations"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "Sentences" / f"{name}.txt").write_text("\n".join(FLICKR_SENTENCES) + "\n")
    (root / "Annotations" / f"{name}.xml").write_text(FLICKR_XML.replace("1000092795", name))
    write_picture(root / "flickr30k-images" / f"{name}.jpg")
    return root


def tsv_row(identity: int, colour: str = "red", **fields: Any) -> str:
    """Return a row as the original's mydata_to_tsv.py writes it."""
    buffer = io.BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT), colour).save(buffer, "JPEG")
    feature = base64.b64encode(np.ones(768, np.float32).tobytes()).decode()
    names = [f"{part}_embedding_{end}" for part in ("text", "image") for end in ("before", "after")]
    annos = [dict.fromkeys(names, feature) | anno for anno in fields.pop("annos")]
    item = {
        "data_id": identity,
        "image": base64.b64encode(buffer.getvalue()).decode(),
        "file_name": f"{identity}.jpg",
        "annos": annos,
        **fields,
    }
    return f"{identity}\t{json.dumps(item)}\n"
