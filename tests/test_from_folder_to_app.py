"""The README's way from a folder of pictures to the app, its very lines, on small files."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from gradio_client import Client
from PIL import Image
from safetensors.torch import load_file, save_file

from gligen.embedded import embedded_folder
from tests.data.files import write_coco
from tests.test_readme import commands

ROOT = Path(__file__).parent.parent
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(ROOT),
    "OMP_NUM_THREADS": "1",
    "TQDM_DISABLE": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
}
# What makes the way short: appended to the README's lines.
SHORTER = {
    "train": ["num_steps=2", "batch_size=2", "num_workers=0", "sample_every_steps=0"],
    "generate": ["--steps", "2"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Write what the README's lines name: a COCO folder, the settings, another base."""
    folder = tmp_path_factory.mktemp("way")
    write_coco(folder / "my_coco")
    shutil.copytree(ROOT / "configs", folder / "configs")
    other = folder / "other-base"
    shutil.copytree(embedded_folder(), other, ignore=shutil.ignore_patterns("adapters"))
    for file in (other / "unet").glob("*.safetensors"):
        state = load_file(file)
        generator = torch.Generator().manual_seed(0)
        noise = {key: torch.randn(value.shape, generator=generator) for key, value in state.items()}
        save_file({key: value + 0.002 * noise[key].to(value) for key, value in state.items()}, file)
    return folder


def line(*words: str) -> list[str]:
    """Return the arguments of the README's line with these words, for this interpreter."""
    (found,) = [text for text in commands("python ") if all(word in text for word in words)]
    return [sys.executable, *shlex.split(found)[1:]]


def run(folder: Path, *words: str) -> str:
    arguments = line(*words)
    done = subprocess.run(
        [*arguments, *SHORTER.get(arguments[3], [])],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
def test_from_a_coco_folder_to_the_app_on_another_base(folder):
    run(folder, "data check")
    run(folder, "train", "data=my_coco")
    run(folder, "convert", "runs/tiny")
    run(folder, "generate", "other-base")
    picture = Image.open(folder / "dog.png")
    assert picture.size == (64, 64)
    assert len(picture.getcolors(64 * 64)) > 100  # a picture, not one colour
    converted = load_file(folder / "boxes.safetensors")
    trained = load_file(folder / "runs" / "tiny" / "adapter.safetensors")
    assert converted.keys() == trained.keys()
    assert all(value.dtype == torch.float16 for value in converted.values())

    arguments = [*line("app.py", "other-base"), "--server-name", "127.0.0.1", "--share", "False"]
    arguments[1] = str(ROOT / arguments[1])
    with subprocess.Popen(
        [*arguments, "--device", "cpu"],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as app:
        try:
            said = heard(app)
            address = re.search(r"The page is at (\S+)", said)
            assert address, said[-2000:]
            assert "boxes.safetensors on other-base" in said
            client = Client(address[1], verbose=False)
            regions = [{"phrase": "a dog", "box": [0.1, 0.2, 0.6, 0.9]}]
            options = {"seed": 3, "num_inference_steps": 2}
            files, details = client.predict("a dog", regions, options, api_name="/generate")
            drawn = Image.open(files[0]["image"] if isinstance(files[0], dict) else files[0])
            assert drawn.size == (64, 64)
            assert len(drawn.getcolors(64 * 64)) > 100
            assert "other-base" in str(details)
        finally:
            app.terminate()
            app.wait(timeout=60)


def heard(app: subprocess.Popen) -> str:
    """Return what the app prints, up to its address or its end."""
    said = ""
    for text in app.stdout:
        said += text
        if "The page is at" in text:
            break
    return said
