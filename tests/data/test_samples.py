import numpy as np

from gligen.data import PictureFile, Sample
from gligen.layout import Layout, Region


def sample(tmp_path, *captions):
    regions = [Region(phrase, (0, 0, 1, 1)) for phrase in ("a dog", "", "a ball")]
    return Sample("1", PictureFile(tmp_path / "a.png"), captions, Layout(tuple(regions)))


def test_captions_are_drawn(tmp_path):
    rng = np.random.default_rng(0)
    drawn = [sample(tmp_path, "one", "two", "three").caption(rng) for _ in range(300)]
    assert all(70 < drawn.count(caption) < 130 for caption in ("one", "two", "three"))


def test_phrases_stand_in_for_a_caption(tmp_path):
    assert sample(tmp_path).caption(np.random.default_rng(0)) == "a dog, a ball"
