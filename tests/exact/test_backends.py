import pytest
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend

from gligen.exact import backends
from gligen.exact.backends import BACKENDS, attention, fastest_backend


def inputs(queries: int = 6, keys: int = 9, **options) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(2, 4, count, 8, **options) for count in (queries, keys, keys)]


@pytest.fixture
def timed(monkeypatch):
    """Give each kernel a time instead of taking it; None is a kernel that cannot do it."""
    times = dict(zip(BACKENDS, (3.0, None, 1.0, 9.0), strict=True))
    calls = []

    def seconds_of(backend, queries, keys, values):
        calls.append(backend)
        return times[backend]

    monkeypatch.setattr(backends, "_fastest", {})
    monkeypatch.setattr(backends, "seconds_of", seconds_of)
    return calls


def test_the_fastest_that_can_is_tried_for_once_for_each_shape(timed):
    for _ in range(2):
        assert fastest_backend(*inputs()) == SDPBackend.EFFICIENT_ATTENTION
    assert timed == list(BACKENDS)
    fastest_backend(*inputs(keys=10))
    fastest_backend(*inputs(dtype=torch.bfloat16))
    assert timed == 3 * list(BACKENDS)


def test_on_the_cpu_nothing_is_tried(timed):
    found = attention(*inputs())
    assert torch.equal(found, F.scaled_dot_product_attention(*inputs()))
    assert timed == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_the_result_is_the_same(monkeypatch):
    monkeypatch.setattr(backends, "_fastest", {})
    on_cuda = [x.to("cuda", torch.bfloat16) for x in inputs(256, 286)]
    found = attention(*on_cuda).float()
    expected = F.scaled_dot_product_attention(*(x.float() for x in on_cuda))
    assert (found - expected).abs().max() < 0.02
    assert len(backends._fastest) == 1
