"""Pipelines that the tests of a file share."""

import pytest

from gligen.pipeline import GligenPipeline
from tests.conftest import small_pipeline

# One of each modality and task, where every kind would tell nothing more.


@pytest.fixture(scope="module")
def built():
    """Return a pipeline of a kind, built once; tests leave it as it was."""
    pipelines: dict[str, GligenPipeline] = {}

    def build(kind: str) -> GligenPipeline:
        if kind not in pipelines:
            pipelines[kind] = small_pipeline(kind)
        return pipelines[kind]

    return build
