"""Muon for matrices beside AdamW for the rest."""

import copy

import pytest
import torch
from torch import nn

from gligen.training.muon import MuonAdamW, inner_matrices


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.ModuleDict(
        {
            "conv_in": nn.Conv2d(4, 8, 3),
            "inner": nn.Conv2d(8, 6, 3),
            "depthwise": nn.Conv2d(6, 6, 3, groups=6),
            "linear": nn.Linear(6, 5),
        }
    )


def optimizer_for(model):
    matrices = inner_matrices(model)
    others = [p for p in model.parameters() if not any(p is matrix for matrix in matrices)]
    return MuonAdamW(matrices, others, lr=1e-2)


def give_gradients(model, seed):
    torch.manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)


def test_only_weights_between_inner_layers_are_matrices(model):
    model["linear"].bias.requires_grad_(False)
    names = {id(p): name for name, p in model.named_parameters()}
    found = [names[id(matrix)] for matrix in inner_matrices(model)]
    assert found == ["inner.weight", "linear.weight"]
    model["inner"].requires_grad_(False)
    assert [names[id(matrix)] for matrix in inner_matrices(model)] == ["linear.weight"]


def test_a_matrix_moves_equally_far_in_all_directions_and_a_vector_as_with_adamw(model):
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    give_gradients(model, 1)
    lone = nn.Parameter(before["inner.bias"].clone())
    lone.grad = model["inner"].bias.grad.clone()
    optimizer_for(model).step()
    torch.optim.AdamW([lone], lr=1e-2, betas=(0.9, 0.99), weight_decay=0).step()
    torch.testing.assert_close(model["inner"].bias, lone)
    moves = (model["inner"].weight - before["inner.weight"]).flatten(1)
    spread = torch.linalg.svdvals(moves)
    assert spread.min() > 0.5 * spread.max() > 0
    # Of a random gradient they are not alike.
    gradient = torch.linalg.svdvals(model["linear"].weight.grad)
    assert gradient.min() < 0.4 * gradient.max()


def test_the_learning_rate_of_both_is_that_of_the_groups(model):
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    give_gradients(model, 1)
    optimizer = optimizer_for(model)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    optimizer.step()
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name])


def test_a_restored_state_goes_on_bit_for_bit(model):
    optimizer = optimizer_for(model)
    for step in range(2):
        give_gradients(model, step)
        optimizer.step()
    weights = {name: p.clone() for name, p in model.state_dict().items()}
    state = optimizer.state_dict()
    saved = {part: dict(own) for part, own in torch.load(_stored(state)).items()}
    give_gradients(model, 2)
    optimizer.step()
    expected = {name: p.clone() for name, p in model.state_dict().items()}

    model.load_state_dict(weights)
    fresh = optimizer_for(model)
    give_gradients(model, 2)
    fresh.load_state_dict(saved)
    fresh.step()
    assert all(torch.equal(model.state_dict()[name], expected[name]) for name in expected)
    model.load_state_dict(weights)
    give_gradients(model, 2)
    optimizer_for(model).step()  # without its state it goes elsewhere
    assert not torch.equal(model.state_dict()["inner.weight"], expected["inner.weight"])


def test_a_state_of_other_parameters_is_refused(model):
    vectors = MuonAdamW([], [model["inner"].bias])
    with pytest.raises(ValueError, match="parts adamw, muon, not adamw; it belongs to other"):
        vectors.load_state_dict(optimizer_for(model).state_dict())


def _stored(state):
    import io

    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return file


def test_the_order_of_a_convolution_in_memory_changes_nothing(model):
    """On a CPU training turns filters to channels last; their gradients may be in either order."""
    other = copy.deepcopy(model).to(memory_format=torch.channels_last)
    assert not other["inner"].weight.is_contiguous()
    for each in (model, other):
        optimizer = optimizer_for(each)
        for seed in (1, 2):
            give_gradients(model, seed)
            for name, parameter in other.named_parameters():
                parameter.grad = model.get_parameter(name).grad.clone()
            optimizer.step()
    torch.testing.assert_close(other["inner"].weight, model["inner"].weight, rtol=1e-2, atol=1e-3)
    before = torch.zeros_like(model["inner"].weight)
    assert not torch.allclose(model["inner"].weight, before, atol=1e-2)
