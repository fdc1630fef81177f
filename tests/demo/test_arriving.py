"""The page is up before its model: what is known of it, who waits for it, and if it fails."""

import subprocess
import sys
from pathlib import Path
from threading import Event

import pytest

import app
from demo import startup
from demo.arriving import ArrivingService
from demo.desk import Desk
from demo.flags import LOADS, parse_flags
from demo.health import Health
from demo.loading import load_service
from demo.service import GENERATION
from demo.startup import early_card
from gligen.layout import Layout, Region
from gligen.request import Request, Result
from tests.demo.fake_service import FakeService

ROOT = Path(__file__).parents[2]
REQUEST = Request(layout=Layout((Region("a dog", (0.1, 0.1, 0.5, 0.5)),)), num_inference_steps=2)
NO_KINDS = [word for flag, _ in LOADS.values() for word in (flag, "False")]
WAIT_SECONDS = 60


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--model", "embedded"],
        ["--load-keypoint", "False", "--load-hed", "True"],
        NO_KINDS,
    ],
)
def test_the_card_known_beforehand_is_that_of_the_loaded_model(arguments):
    flags = parse_flags(["--device", "cpu", *arguments])
    assert early_card(flags) == load_service(flags).card


@pytest.mark.parametrize(
    "arguments",
    [
        ["--device", "cuda"],
        ["--device", "cpu", "--model", "official"],
        ["--device", "cpu", "--model", "a/file.safetensors"],
        ["--device", "cpu", "--base", "a/base"],
        ["--device", "cpu", "--device-budget", "1GB"],
    ],
)
def test_what_only_loading_can_tell_is_not_guessed(arguments):
    assert early_card(parse_flags(arguments)) is None


@pytest.mark.parametrize(("version", "is_known"), [("2.13.0+cpu", True), ("2.13.0", False)])
def test_where_torch_may_find_a_gpu_loading_decides(version, is_known, monkeypatch):
    monkeypatch.setattr(startup, "version", lambda _: version)
    assert (early_card(parse_flags([])) is not None) == is_known


def test_nothing_of_the_page_needs_torch():
    code = (
        "import sys, demo.app, demo.arriving, demo.health, demo.shutdown, demo.startup;"
        "demo.app.build_app(demo.arriving.ArrivingService("
        "demo.startup.early_card(demo.flags.parse_flags(['--device', 'cpu']))));"
        "print([name for name in ('torch', 'diffusers', 'transformers') if name in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


def test_who_comes_early_waits_and_health_says_so():
    may_load = Event()
    service, inner, faults = ArrivingService(FakeService().card), FakeService(shares=True), []
    health = Health(service, Desk())

    def load() -> FakeService:
        assert may_load.wait(WAIT_SECONDS)
        return inner

    thread = service.load(load, faults.append)
    assert not service.is_ready
    assert health.report()["status"] == "loading"
    may_load.set()
    *steps, last = service.stream(GENERATION, REQUEST)  # waits by itself
    assert isinstance(last, Result)
    assert inner.requests == [(GENERATION, REQUEST)]
    assert service.preview(GENERATION, steps[-1]) == inner.preview(GENERATION, steps[-1])
    assert service.sharing(GENERATION, REQUEST) == inner.sharing(GENERATION, REQUEST) is not None
    stream = service.stream_together(GENERATION, [REQUEST, REQUEST])
    stream.close()
    assert inner.batches == [[REQUEST, REQUEST]]
    thread.join(WAIT_SECONDS)
    assert service.is_ready
    assert health.report()["status"] == "ok"
    assert faults == []


def test_a_model_that_cannot_be_loaded_is_told_to_all():
    def load() -> FakeService:
        raise ValueError("The file is broken.")

    service, faults = ArrivingService(FakeService().card), []
    service.load(load, faults.append).join(WAIT_SECONDS)
    assert [str(fault) for fault in faults] == ["The file is broken."]
    assert not service.is_ready
    with pytest.raises(ValueError, match=r"The file is broken\."):
        service.stream(GENERATION, REQUEST)
    with pytest.raises(ValueError, match=r"The file is broken\."):
        service.sharing(GENERATION, REQUEST)


def test_the_app_ends_with_a_sentence_if_its_model_cannot_be_loaded(monkeypatch, capsys):
    def load(flags) -> None:
        raise ValueError("The file is broken.")

    monkeypatch.setattr(app, "load", load)
    assert app.main(["--device", "cpu"]) == 2
    assert capsys.readouterr().err.endswith("The model could not be loaded: The file is broken.\n")
