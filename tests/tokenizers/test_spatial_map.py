"""Maps of the whole picture. The recorded figures are checked in `tests/test_parity.py`."""

import pytest
import torch
from transformers import ConvNextConfig, ConvNextModel

from gligen.tokenizers import (
    MapDownsampler,
    MapGrounding,
    MapTokenizer,
    downsampler_like,
    tokenizer_like,
)
from gligen.tokenizers.convnext import ConvNeXt
from tests.tokenizers.filled import filled, random

WIDTHS, DEPTHS = (8, 12, 16, 20), (1, 2, 1, 1)


def make(num_classes: int = 0) -> MapTokenizer:
    return filled(MapTokenizer(4, 6, WIDTHS, DEPTHS, num_classes))


def test_a_token_for_each_cell_of_the_grid():
    tokenizer, image = make(), random(2, 3, 96, 64)
    ones = torch.ones(2, 1)
    tokens = tokenizer.tokens(MapGrounding(image, ones))
    assert tokens.shape == (2, 4, 6)
    # A change in the lower right corner is strongest in the last cell, row by row.
    image[0, :, 80:, 50:] += 1
    moved = (tokenizer.tokens(MapGrounding(image, ones)) - tokens).abs().sum(-1)
    assert moved[0].argmax() == 3
    assert not moved[1].any()


def test_no_map_still_tells_the_cells_apart():
    tokenizer = make()
    null = tokenizer.tokens(MapGrounding(random(1, 3, 64, 64), torch.ones(1, 1)).null())
    assert len(null[0].unique(dim=0)) == 4
    masked = tokenizer.tokens(MapGrounding(random(1, 3, 64, 64), torch.zeros(1, 1)))
    assert torch.equal(null, masked)


def test_classes_go_through_their_own_convolution():
    tokenizer = make(num_classes=5)
    labels = torch.nn.functional.one_hot(torch.arange(64 * 64).reshape(1, 64, 64) % 5)
    image = labels.movedim(-1, 1).float()
    ones = torch.ones(1, 1)
    tokens = tokenizer.tokens(MapGrounding(image, ones))
    swapped = tokenizer.tokens(MapGrounding(image.flip(1), ones))
    assert not torch.equal(tokens, swapped)


@pytest.mark.parametrize("num_classes", [0, 5])
def test_its_sizes_are_read_off_its_weights(num_classes):
    tokenizer = make(num_classes)
    state = {f"position_net.{key}": value for key, value in tokenizer.state_dict().items()}
    copy = tokenizer_like(state)
    copy.load_state_dict(tokenizer.state_dict())
    grounding = MapGrounding(random(1, num_classes or 3, 64, 64), torch.ones(1, 1))
    assert torch.equal(copy.tokens(grounding), tokenizer.tokens(grounding))


def test_the_backbone_is_convnext():
    ours = filled(ConvNeXt(WIDTHS, DEPTHS))
    config = ConvNextConfig(
        hidden_sizes=list(WIDTHS), depths=list(DEPTHS), layer_norm_eps=1e-6, drop_path_rate=0.0
    )
    theirs = ConvNextModel(config).eval()
    names = {
        "downsample_layers.0.0": "embeddings.patch_embeddings",
        "downsample_layers.0.1": "embeddings.layernorm",
        **{
            f"downsample_layers.{stage}.{i}": f"encoder.stages.{stage}.downsampling_layer.{i}"
            for stage in (1, 2, 3)
            for i in (0, 1)
        },
        **{
            f"stages.{stage}.{block}": f"encoder.stages.{stage}.layers.{block}"
            for stage, depth in enumerate(DEPTHS)
            for block in range(depth)
        },
    }
    state = {}
    for key, value in ours.state_dict().items():
        old = next(name for name in names if key.startswith(f"{name}."))
        rest = key.removeprefix(old).replace(".norm.", ".layernorm.")
        state[names[old] + rest.replace("gamma", "layer_scale_parameter")] = value
    missing, unexpected = theirs.load_state_dict(state, strict=False)
    assert not unexpected
    assert set(missing) == {"layernorm.weight", "layernorm.bias"}
    image = random(2, 3, 64, 96)
    with torch.no_grad():
        found = theirs.encoder(theirs.embeddings(image)).last_hidden_state
        assert torch.allclose(ours(image), found, atol=1e-5)


@pytest.mark.parametrize(
    ("channels", "widths"), [(1, ()), (1, (4, 8)), (3, (4, 8)), (152, (16, 8))]
)
def test_the_downsampler_follows_the_latents(channels, widths):
    downsampler = filled(MapDownsampler(channels, widths))
    image = random(1, max(3, channels), 50, 70)
    output = downsampler(image, (8, 12))
    assert output.shape == (1, downsampler.out_channels, 8, 12)
    # Only the channels that it reads matter.
    image[:, channels:] = 9
    assert torch.equal(downsampler(image, (8, 12)), output)
    image[:, 0, 25:] += 1
    assert not torch.equal(downsampler(image, (8, 12)), output)
    state = {f"downsample_net.{key}": value for key, value in downsampler.state_dict().items()}
    assert downsampler_like(state).in_channels == channels


def test_half_a_downsampler_is_refused():
    with pytest.raises(ValueError, match="downsampler is incomplete"):
        downsampler_like({"downsample_net.layers.0.weight": torch.zeros(4, 1, 4, 4)})
