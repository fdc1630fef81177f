"""Both pipelines of each kind that diffusers has: ours, theirs."""

import pytest

from tests.against_diffusers.pipelines import both


@pytest.fixture
def text():
    """Both pipelines of the text-box kind: ours, theirs."""
    return both("generation_text_box")


@pytest.fixture
def text_inpainting():
    return both("inpainting_text_box")


@pytest.fixture
def text_image():
    return both("generation_text_image_box")


@pytest.fixture
def text_image_inpainting():
    return both("inpainting_text_image_box")
