"""`python -m gligen train` in processes of its own: killed, resumed, and two at once."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from gligen.cli import main
from gligen.loading import load_pipeline
from gligen.training.command import read_overrides
from gligen.training.settings import read_settings
from tests.test_grounding import picture
from tests.training_examples import save_plain_base

ROOT = Path(__file__).parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Write a base, six pictures, and settings."""
    folder = tmp_path_factory.mktemp("train")
    save_plain_base(folder / "base")
    lines = []
    for index in range(6):
        picture(index, (70, 64)).save(folder / f"{index}.png")
        region = {"phrase": "a dog", "box": [0.1 * index, 0.1, 0.5 + 0.08 * index, 0.9]}
        lines.append({"image": f"{index}.png", "caption": "a dog", "regions": [region]})
    (folder / "data.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    settings = {
        "output": str(folder / "run"),
        "data": str(folder / "data.jsonl"),
        "base": str(folder / "base"),
        "num_steps": 30,
        "batch_size": 4,
        "learning_rate": 1e-2,
        "warmup_steps": 5,
        "num_workers": 0,
        "sample_every_steps": 0,
        "save_every_seconds": 0.0,
    }
    (folder / "settings.yaml").write_text(yaml.safe_dump(settings))
    return folder


def command(folder, output, *options, launch=()):
    return [
        sys.executable,
        *launch,
        "-m",
        "gligen",
        "train",
        str(folder / "settings.yaml"),
        "--device",
        "cpu",
        "--set",
        f"output={folder / output}",
        *options,
    ]


def run(arguments):
    done = subprocess.run(arguments, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]


def losses(folder, output):
    log = (folder / output / "log.jsonl").read_text()
    return [json.loads(line)["loss"] for line in log.splitlines()]


def test_the_adapter_works_on_its_base(folder):
    output = folder / "small"
    arguments = ["train", str(folder / "settings.yaml"), "--device", "cpu"]
    arguments += ["--set", f"output={output}", "num_steps=3", "sample_every_steps=3"]
    assert main(arguments) == 0
    assert load_pipeline(output / "adapter.safetensors", base=folder / "base").kind
    sheet = Image.open(output / "samples" / "step_0000003.png")
    assert sheet.width >= 4 * 192
    assert read_settings(output / "settings.yaml").num_steps == 3


def killed_and_resumed(folder, output, times, seed, *options):
    """Kill a run at random moments until it has ended; return how often it was killed."""
    rng, kills = random.Random(seed), 0
    while True:
        process = subprocess.Popen(
            command(folder, output, *options),
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        state = folder / output / "state.pt"
        begun, before = time.monotonic(), state.stat().st_mtime_ns if state.exists() else 0
        # Wait for the first new state, so that every life gets somewhere.
        while process.poll() is None and kills < times and time.monotonic() - begun < 120:
            if state.exists() and state.stat().st_mtime_ns != before:
                time.sleep(rng.uniform(0, 0.4))
                break
            time.sleep(0.005)
        if kills < times and process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
            process.stderr.close()
            kills += 1
            continue
        errors = process.communicate()[1]
        assert process.returncode == 0, errors[-2000:]
        return kills


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "times", "steps"),
    # Repainting trains the first convolution too.
    [("generation_text_box", 20, 120), ("inpainting_text_box", 4, 40)],
)
def test_kills_change_nothing(folder, kind, times, steps):
    options = (f"kind={kind}", f"num_steps={steps}")
    whole, killed = f"whole_{kind}", f"killed_{kind}"
    run(command(folder, whole, *options))
    kills = killed_and_resumed(folder, killed, times, 1, *options)
    assert kills >= times / 2, "the run ended before it could be killed often"
    expected, found = (load_file(folder / name / "adapter.safetensors") for name in (whole, killed))
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert losses(folder, whole) == losses(folder, killed)


@pytest.mark.slow
def test_two_processes_learn_as_one_with_the_whole_batch(folder):
    steps = ("num_steps=50", "learning_rate=0.001")
    run(command(folder, "one", *steps))
    launch = ("-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2")
    launch += ("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no")
    both = command(folder, "two", *steps, launch=launch)
    run(both)
    one, two = losses(folder, "one"), losses(folder, "two")
    assert len(one) == 5
    assert max(abs(a - b) for a, b in zip(one, two, strict=True)) <= 1e-4


def test_bad_input_is_one_sentence(folder, capsys):
    settings = str(folder / "settings.yaml")
    for arguments, words in (
        (["train", "none.yaml"], "'none.yaml' cannot be read"),
        (["train", settings, "--set", "num_steps"], "name=value, not 'num_steps'"),
        (["train", settings, "--set", "num_steps=many"], "num_steps is 'many'"),
        (["train", settings, "--set", "base=none"], "no model 'none'"),
        (["train", settings, "--set", f"output={folder / 'x'}", "data=none"], "none"),
    ):
        assert main([*arguments, "--device", "cpu"]) == 2
        assert words in capsys.readouterr().err


def test_values_are_written_as_in_yaml():
    assert read_overrides(["a=1", "b=[1, 2]", "c=x=y", "d="]) == {
        "a": 1,
        "b": [1, 2],
        "c": "x=y",
        "d": None,
    }
