"""What replaces or watches a layer is never passed by."""

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor
from torch import nn

from gligen.exact import unet as exact_unet
from gligen.exact.support import why_plain
from tests.conftest import small_pipeline
from tests.exact.test_savings import ALL_SAVINGS, NO_SAVINGS, call, relative_rms


class Doubled(nn.Linear):
    """A linear layer that somebody changed."""

    def forward(self, x):
        return 2 * super().forward(x)


def replaced_projection(unet):
    attention = unet.mid_block.attentions[0].transformer_blocks[0].attn1
    layer = Doubled(attention.to_q.in_features, attention.to_q.out_features, bias=False)
    layer.load_state_dict(attention.to_q.state_dict())
    attention.to_q = layer


def hook(unet):
    unet.down_blocks[0].resnets[0].register_forward_hook(lambda module, args, out: 2 * out)


def early_hook(unet):
    unet.conv_in.register_forward_pre_hook(lambda module, args: (2 * args[0],))


def own_attention(unet):
    class Halved(AttnProcessor):
        def __call__(self, *args, **kwargs):
            return 0.5 * super().__call__(*args, **kwargs)

    unet.set_attn_processor(Halved())


def free_u(unet):
    unet.enable_freeu(0.5, 0.5, 1.4, 1.6)


def chunked(unet):
    for block in unet.mid_block.attentions[0].transformer_blocks:
        block.set_chunk_feed_forward(2, dim=1)


CHANGES = (replaced_projection, hook, early_hook, own_attention, free_u, chunked)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_the_model_runs_itself(change, monkeypatch):
    pipeline = small_pipeline()
    untouched = call(pipeline, NO_SAVINGS)
    change(pipeline.unet)
    assert why_plain(pipeline.unet)
    expected = call(pipeline, NO_SAVINGS)
    if change is not chunked:
        assert relative_rms(expected, untouched) > 1e-3
    monkeypatch.setattr(exact_unet.PreparedUNet, "__call__", None)
    # The texts are still read in one pass, so rounding may differ.
    assert relative_rms(call(pipeline, ALL_SAVINGS), expected) <= 1e-5


def test_autocast_and_training_keep_it_plain():
    unet = small_pipeline().unet
    with torch.autocast("cpu", torch.bfloat16):
        assert "autocast" in why_plain(unet)
    assert why_plain(unet) == ""
    assert "training" in why_plain(unet.train())


def test_the_reason_names_the_layer():
    unet = small_pipeline().unet
    replaced_projection(unet)
    assert why_plain(unet) == (
        "its layer mid_block.attentions.0.transformer_blocks.0.attn1 (Attention) is not of the "
        "usual form"
    )
