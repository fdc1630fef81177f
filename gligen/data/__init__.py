"""Training data: one's own pictures with captions, boxes, keypoints and maps.

    dataset = open_dataset("my_pictures.jsonl")      # or COCO, Flickr30k Entities, TSV
    for line in dataset.report.lines():
        print(line)
    sample = dataset[0]
    picture, layout = sample.open_picture(), sample.open_layout()

Forms are described in `docs/data.md`. Flips and crops that carry the layout along are in
`gligen.data.augment`, the cache of encoder features in `gligen.data.features`.
"""

from gligen.data.dataset import Dataset, open_dataset
from gligen.data.report import Report
from gligen.data.samples import MapFile, PictureFile, Sample

__all__ = ["Dataset", "MapFile", "PictureFile", "Report", "Sample", "open_dataset"]
