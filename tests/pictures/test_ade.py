"""Labels, names and colours of ADE20K's classes."""

import numpy as np
from PIL import Image

from gligen.pictures.ade import COLOURS, NAMES, NUM_LABELS, coloured, labels_of_colours


def test_every_label_has_a_name_and_a_colour():
    assert len(NAMES) == len(COLOURS) == NUM_LABELS == 152
    assert len(set(NAMES)) == 152
    assert all(name == name.strip() and name for name in NAMES)
    assert len(set(COLOURS)) == 151, "only road and skyscraper share one"


def test_known_labels():
    # From the benchmark's own table of classes.
    known = {1: "wall", 3: "sky", 5: "tree", 13: "person", 21: "car", 49: "skyscraper", 150: "flag"}
    assert {label: NAMES[label] for label in known} == known
    assert COLOURS[1] == (120, 120, 120)
    assert COLOURS[3] == (6, 230, 230)
    assert COLOURS[13] == (150, 5, 61)
    assert COLOURS[150] == (92, 0, 255)


def test_colours_and_back():
    labels = np.arange(151, dtype=np.uint8).reshape(1, 151)
    picture = coloured(labels)
    assert picture.mode == "RGB"
    assert picture.getpixel((13, 0)) == (150, 5, 61)
    back = labels_of_colours(picture)
    assert np.flatnonzero(back[0] != labels[0]).tolist() == [49], "skyscraper reads as road"
    assert back[0, 49] == 7


def test_a_colour_of_no_class_is_noticed():
    picture = coloured(np.full((5, 5), 3, np.uint8))
    assert labels_of_colours(picture).tolist() == [[3] * 5] * 5
    picture.putpixel((2, 2), (6, 230, 231))
    assert labels_of_colours(picture) is None
    assert labels_of_colours(Image.new("RGB", (2, 2), "white")) is None
