import threading

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from gligen.data.features import FeatureCache, fingerprint


class Encoder:
    """Encodes a text as its length and first letter, and remembers what it was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, texts):
        self.asked.append(list(texts))
        return torch.tensor([[len(text), ord(text[0])] for text in texts], dtype=torch.float64)


def colours(pictures):
    return torch.tensor([picture.convert("RGB").getpixel((0, 0)) for picture in pictures]) / 255


@pytest.fixture
def cache(tmp_path):
    return FeatureCache(tmp_path / "features", "encoder-1")


def files(cache):
    return sorted(path for path in cache.folder.rglob("*") if path.is_file())


def test_each_text_is_encoded_once(cache):
    encoder = Encoder()
    found = cache.of_texts(["dog", "a cat", "dog"], encoder)
    assert found.dtype == torch.float32
    assert found.tolist() == [[3, 100], [5, 97], [3, 100]]
    assert encoder.asked == [["dog", "a cat"]]
    assert cache.of_texts(["a cat", "bird", "dog"], encoder).tolist() == [
        [5, 97],
        [4, 98],
        [3, 100],
    ]
    assert encoder.asked[1:] == [["bird"]]
    again = FeatureCache(cache.folder, "encoder-1")
    assert again.of_texts(["bird"], encoder).tolist() == [[4, 98]]
    assert len(encoder.asked) == 2


def test_another_encoder_has_features_of_its_own(cache):
    encoder = Encoder()
    cache.of_texts(["dog"], encoder)
    FeatureCache(cache.folder, "encoder-2").of_texts(["dog"], encoder)
    assert encoder.asked == [["dog"], ["dog"]]


def test_batches_are_stored_as_they_are_done(tmp_path):
    cache = FeatureCache(tmp_path, "e", batch_size=2)
    encoder = Encoder()

    def failing(texts):
        if len(encoder.asked) == 2:
            raise KeyboardInterrupt
        return encoder(texts)

    with pytest.raises(KeyboardInterrupt):
        cache.of_texts(list("abcde"), failing)
    assert cache.of_texts(list("abcde"), encoder)[:, 1].tolist() == [97, 98, 99, 100, 101]
    assert encoder.asked == [["a", "b"], ["c", "d"], ["e"]]


def test_pictures_are_told_apart_by_their_pixels(cache, tmp_path):
    red, blue = Image.new("RGB", (2, 3), "red"), Image.new("RGB", (2, 3), "blue")
    found = cache.of_pictures([red, blue, red.copy()], colours)
    assert found.tolist() == [[1, 0, 0], [0, 0, 1], [1, 0, 0]]
    assert len(files(cache)) == 2
    variants = [red.resize((3, 2)), red.convert("RGBA"), red.convert("P")]
    cache.of_pictures(variants, colours)
    assert len(files(cache)) == 5
    other = variants[2].copy()
    other.putpalette([0, 0, 255] * 256)
    assert cache.of_pictures([other], colours).tolist() == [[0, 0, 1]]


def test_a_text_is_no_picture(cache):
    picture = Image.new("L", (1, 1), 65)
    cache.of_pictures([picture], colours)
    cache.of_texts(["picture L (1, 1)\0A"], Encoder())
    assert len(files(cache)) == 2


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"text"])
def test_damaged_files_are_encoded_anew(cache, damage):
    encoder = Encoder()
    cache.of_texts(["dog"], encoder)
    files(cache)[0].write_bytes(damage)
    assert cache.of_texts(["dog"], encoder).tolist() == [[3, 100]]
    assert cache.of_texts(["dog"], encoder).tolist() == [[3, 100]]
    assert len(encoder.asked) == 2


def test_pickles_are_not_loaded(cache):
    encoder = Encoder()
    cache.of_texts(["dog"], encoder)
    np.save(files(cache)[0], np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert cache.of_texts(["dog"], encoder).tolist() == [[3, 100]]


def test_features_of_any_shape(cache):
    found = cache.of_texts(["a", "b"], lambda texts: torch.zeros(len(texts), 77, 8))
    assert found.shape == (2, 77, 8)


@pytest.mark.parametrize(
    ("features", "words"),
    [
        (torch.zeros(2), "2 items and returned a tensor of shape .2,."),
        (torch.zeros(3, 4), "shape .3, 4."),
        (torch.tensor([[1.0], [float("nan")]]), "not finite"),
    ],
)
def test_wrong_features_are_refused_and_not_stored(cache, features, words):
    with pytest.raises(ValueError, match=words):
        cache.of_texts(["a", "b"], lambda _: features)
    assert not cache.folder.exists()


def test_what_cannot_be_done(cache, tmp_path):
    with pytest.raises(ValueError, match="nothing to encode"):
        cache.of_texts([], Encoder())
    with pytest.raises(ValueError, match="batch size is 0"):
        FeatureCache(tmp_path, "e", batch_size=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot be stored"):
        FeatureCache(tmp_path / "file", "e").of_texts(["a"], Encoder())


def test_several_at_once(cache):
    results = []

    def work():
        results.append(cache.of_texts(list("abcdefgh"), Encoder()))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert all(torch.equal(result, results[0]) for result in results)
    assert len(files(cache)) == 8


def test_fingerprints_change_with_weights_and_settings():
    def encoder(dtype=torch.float32):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).to(dtype)

    plain = fingerprint(encoder())
    assert fingerprint(encoder()) == plain
    changed = encoder()
    changed[0].bias.data[1] += 1e-6
    buffered = encoder()
    buffered[1].running_mean[0] = 1
    others = [
        fingerprint(changed),
        fingerprint(buffered),
        fingerprint(encoder(torch.bfloat16)),
        fingerprint(encoder(), "tokenizer"),
        fingerprint(encoder(), "tokenizer", 1),
    ]
    assert len({plain, *others}) == 6
