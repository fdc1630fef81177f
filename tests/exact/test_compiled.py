"""The compiled evaluation: the same latents, two forms of it, and what it leaves alone."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from demo import loading
from demo.flags import parse_flags
from gligen.exact import unet as prepared_unet
from gligen.exact.options import ALL_SAVINGS
from tests.conftest import small_pipeline
from tests.test_grounding import latents, layout_for, request_for

ROOT = Path(__file__).parents[2]
KIND = "generation_text_box"

# In a process of its own, without the checks of types, which a compiler cannot look into.
CODE = """
import json
from collections import Counter
from dataclasses import replace
import torch
from torch._dynamo.utils import counters
from gligen.exact.options import ALL_SAVINGS
from tests.conftest import small_pipeline
from tests.exact.test_savings import relative_rms
from tests.test_grounding import latents, layout_for, request_for

found = {}
KIND = "generation_text_box"
pipeline = small_pipeline(KIND)
def distance(seed):
    request = request_for(
        KIND, layout_for(KIND), num_inference_steps=4, seed=seed, gate_schedule=0.5
    )
    pipeline.exact_options = replace(ALL_SAVINGS, compiled=True)
    compiled = latents(pipeline, request)
    pipeline.exact_options = ALL_SAVINGS
    return relative_rms(compiled, latents(pipeline, request))

found["first"] = distance(1)
found["forms"] = counters["stats"]["unique_graphs"]
found["second"] = distance(2)
with torch.no_grad():
    for parameter in pipeline.unet.parameters():
        parameter.mul_(1.05)
found["changed weights"] = distance(2)
found["forms of all"] = counters["stats"]["unique_graphs"]
found["breaks"] = sum(counters["graph_break"].values())
print(json.dumps(found))
"""


@pytest.mark.slow
def test_the_latents_are_the_same_and_two_forms_are_enough():
    run = subprocess.run(
        [sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found = json.loads(run.stdout.splitlines()[-1])
    for name in ("first", "second", "changed weights"):
        assert 0 < found[name] <= 1e-5, (name, found)
    assert found["forms"] == found["forms of all"] == 2, "with grounding, and without"
    assert found["breaks"] == 0


def test_without_a_compiler_a_sentence_says_so(monkeypatch):
    prepared_unet.compiled_evaluation.cache_clear()
    monkeypatch.setattr(prepared_unet.shutil, "which", lambda name: None)
    pipeline = small_pipeline(KIND)
    pipeline.exact_options = replace(ALL_SAVINGS, compiled=True)
    with pytest.raises(ValueError, match=r"takes a C\+\+ compiler.*go without"):
        latents(pipeline, request_for(KIND, layout_for(KIND)))


def test_the_compiled_form_is_that_of_the_whole_evaluation(monkeypatch):
    asked = []

    def compiled(prepared, *args):
        asked.append(args)
        return prepared.evaluate(*args)

    monkeypatch.setattr(prepared_unet, "compiled_evaluation", lambda: compiled)
    pipeline = small_pipeline(KIND)
    request = request_for(KIND, layout_for(KIND), num_inference_steps=3)
    latents(pipeline, request)
    assert not asked, "it is asked for, not usual"
    pipeline.exact_options = replace(ALL_SAVINGS, compiled=True)
    latents(pipeline, request)
    assert len(asked) == 3, "once in a step"


def test_the_app_compiles_if_it_is_told_to(monkeypatch):
    pipeline = small_pipeline(KIND)
    monkeypatch.setattr(loading, "load_kinds", lambda source, flags: {KIND: pipeline})
    loading.load_service(parse_flags(["--device", "cpu", "--compile"]))
    assert pipeline.exact_options == replace(ALL_SAVINGS, compiled=True)
