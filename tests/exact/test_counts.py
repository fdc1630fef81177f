"""How much work one guidance pair is at the size of Stable Diffusion 1.4; nothing is timed."""

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from gligen.attention import Grounding
from gligen.exact.counting import count_flops, count_operations
from gligen.exact.options import ALL_SAVINGS
from gligen.exact.unet import PreparedUNet
from gligen.tokenizers import BoxGrounding
from gligen.unet import add_grounding, predict

GFLOP = 1e9
TOKENS = 30


def sd14(**changes) -> UNet2DConditionModel:
    unet = UNet2DConditionModel(
        **{"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8, **changes}
    )
    return add_grounding(unet.eval())


@pytest.fixture(scope="module")
def full_size() -> UNet2DConditionModel:
    """The UNet of Stable Diffusion 1.4, without memory."""
    with torch.device("meta"):
        return sd14()


@pytest.fixture(scope="module")
def narrow() -> UNet2DConditionModel:
    """A UNet of the same structure; the number of operations does not depend on widths."""
    return sd14(block_out_channels=(16, 32, 64, 64), norm_num_groups=8)


class Pair:
    """The inputs of both halves of guidance for one picture."""

    def __init__(self, unet: UNet2DConditionModel, side: int, tokens: int = TOKENS):
        def empty(*shape: int) -> Tensor:
            return torch.zeros(*shape, device=unet.conv_out.weight.device)

        self.unet = unet
        self.latents, self.context = empty(1, 4, side, side), empty(2, 77, 768)
        self.tokens, self.timestep = empty(2, tokens, 768), empty(1)

    def stock(self, gate: float) -> None:
        grounding = Grounding(self.tokens, gate) if gate else None
        pair = torch.cat([self.latents, self.latents])
        predict(self.unet, pair, self.timestep, self.context, grounding)

    def prepared(self, gate: float):
        """Return the evaluation alone; what is done once in a run is done here."""
        unet = PreparedUNet(self.unet, ALL_SAVINGS)
        conditioning = unet.conditioning(self.context, self.tokens)
        unet.prepare_times([981.0])
        unet(self.latents, 981.0, conditioning, gate)
        return lambda: unet(self.latents, 981.0, conditioning, gate)


@pytest.mark.parametrize(("gate", "stock", "limit"), [(1.0, 2273.8, 2145), (0.0, 1606.5, 1490)])
def test_flops(full_size, gate, stock, limit):
    pair = Pair(full_size, 64)
    assert count_flops(lambda: pair.stock(gate)) / GFLOP == pytest.approx(stock, rel=2e-4)
    assert count_flops(pair.prepared(gate)) / GFLOP <= limit


@pytest.mark.parametrize(("gate", "limit"), [(1.0, 830), (0.0, 600)])
def test_operations(narrow, gate, limit):
    pair = Pair(narrow, 16)
    saved = count_operations(pair.prepared(gate)).total()
    stock = count_operations(lambda: pair.stock(gate)).total()
    assert saved <= limit
    assert saved <= 0.76 * stock


def test_products_in_place_are_counted_too():
    x, left, right = torch.zeros(2, 3, 5), torch.zeros(2, 3, 7), torch.zeros(2, 7, 5)
    assert count_flops(lambda: x.baddbmm_(left, right)) == 2 * 2 * 3 * 7 * 5
    assert count_flops(lambda: torch.baddbmm(x, left, right)) == 2 * 2 * 3 * 7 * 5


def test_the_work_is_flat_in_the_number_of_regions(narrow):
    """However many slots of a layout are taken, the model reads all of them."""
    width = 768
    for count in (1, 4, 30):
        masks = torch.zeros(1, TOKENS)
        masks[:, :count] = 1
        boxes, features = torch.rand(1, TOKENS, 4), torch.rand(1, TOKENS, width)
        tokens = narrow.position_net(BoxGrounding(boxes, masks, features)).tokens
        assert tokens.shape[1] == TOKENS


def test_flops_hardly_grow_with_the_number_of_tokens(full_size):
    few, many = (count_flops(Pair(full_size, 64, tokens).prepared(1.0)) for tokens in (1, 30))
    assert 1 < many / few <= 1.006


def test_the_count_sees_an_operation_more(narrow):
    run = Pair(narrow, 16).prepared(0.0)
    x = torch.ones(2)
    assert count_operations(lambda: (run(), x + x)).total() == count_operations(run).total() + 1
    assert count_operations(lambda: x.view(1, 2)).total() == 0
