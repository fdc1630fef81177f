"""What both halves of guidance share goes row by row, so that company changes no rounding."""

import pytest
import torch

from gligen.exact.unet import in_rows


@pytest.mark.parametrize(
    ("num_images", "rows", "dtype", "expected"),
    [
        (3, 6, torch.float32, [1, 1, 1]),
        (1, 2, torch.float32, [1]),
        (3, 3, torch.float32, [3]),  # both halves are there, or there is no guidance
        (3, 6, torch.bfloat16, [3]),
    ],
)
def test_only_what_is_shared_in_float32_is_taken_apart(num_images, rows, dtype, expected):
    asked = []

    def run(x: torch.Tensor) -> torch.Tensor:
        asked.append(len(x))
        return 2 * x

    x = torch.randn(num_images, 4, 5, 5).to(dtype)
    assert torch.equal(in_rows(run, x, rows), 2 * x)
    assert asked == expected


def test_on_other_devices_nothing_is_taken_apart():
    asked = []
    in_rows(lambda x: asked.append(len(x)) or x, torch.empty(3, 4, device="meta"), 6)
    assert asked == [3]
