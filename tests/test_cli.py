"""The command line: what it writes, what it says, and one sentence for every kind of bad input."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from gligen import cli
from gligen.cli import main
from gligen.kinds import KINDS
from gligen.pictures.metadata import read_settings
from gligen.samplernames import SAMPLERS
from gligen.weights import hub
from tests.model_files import save_base_folder

DOG = "a dog: 0.1,0.1,0.6,0.8"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Return a small base with adapters of both kinds."""
    folder = tmp_path_factory.mktemp("models") / "small"
    save_base_folder(folder)
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Work in an empty folder, with pictures beside it and no network."""
    monkeypatch.setattr(hub, "hub_is_reachable", lambda: False)
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (70, 100, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("photo.png")
    mask = np.zeros((70, 100), np.uint8)
    mask[20:50, 30:70] = 255
    Image.fromarray(mask).save("mask.png")
    return tmp_path


def run(*arguments) -> int:
    return main([str(argument) for argument in arguments])


def pixels(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


# ---------------------------------------------------------------- pictures


def test_generate_writes_a_picture_with_its_settings(here, model, capsys):
    code = run(
        *("generate", "--model", model, "--prompt", "a dog", "--region", DOG),
        *("--steps", 3, "--seed", 7, "--sampler", "ddim", "--tau", 0.5, "-o", "dog.png"),
    )
    assert code == 0
    out, err = capsys.readouterr()
    assert out == "dog.png  seed 7\n"
    assert "Step 1 of 3" in err
    assert "Step 3 of 3" in err
    settings = read_settings("dog.png")
    assert settings["seed"] == 7
    assert settings["sampler"] == "ddim"
    assert settings["preset"] == "exact"
    assert settings["gate_schedule"] == 0.5
    assert (settings["gligen"], settings["kind"]) == (1, "generation_text_box")
    assert settings["regions"] == [{"phrase": "a dog", "box": [0.1, 0.1, 0.6, 0.8]}]
    assert pixels("dog.png").shape == (64, 64, 3)


def test_the_same_seed_gives_the_same_picture_and_the_box_matters(here, model):
    common = (
        "generate",
        "--model",
        model,
        "--prompt",
        "a dog",
        "--steps",
        3,
        "--seed",
        1,
        "--tau",
        1,
    )
    run(*common, "--region", DOG, "-o", "a.png")
    run(*common, "--region", DOG, "-o", "b.png")
    run(*common, "--region", "a dog: 0.5,0.5,0.9,0.9", "-o", "c.png")
    run(*common, "--region", DOG, "--tau", 0, "-o", "off.png")
    run(*common, "-o", "plain.png")
    assert np.array_equal(pixels("a.png"), pixels("b.png"))
    assert not np.array_equal(pixels("a.png"), pixels("c.png"))
    assert not np.array_equal(pixels("a.png"), pixels("off.png"))
    assert np.array_equal(pixels("off.png"), pixels("plain.png"))


def test_a_preset_has_its_own_sampler_and_steps_unless_they_are_said(here, model):
    common = ("generate", "--model", model, "--region", DOG, "--seed", 1)
    run(*common, "--preset", "fast", "-o", "fast.png")
    run(*common, "--sampler", "dpm++", "--steps", 20, "-o", "same.png")
    run(*common, "--preset", "deepcache=2", "--steps", 3, "-o", "deep.png")
    run(*common, "--steps", 3, "-o", "exact.png")
    assert np.array_equal(pixels("fast.png"), pixels("same.png"))
    assert not np.array_equal(pixels("deep.png"), pixels("exact.png"))
    names = ("preset", "sampler", "num_inference_steps")
    settings = {name: read_settings(f"{name}.png") for name in ("fast", "deep", "exact")}
    assert [settings["fast"][name] for name in names] == ["fast", "dpm++", 20]
    assert [settings["deep"][name] for name in names] == ["deepcache=2", "plms", 3]
    assert [settings["exact"][name] for name in names] == ["exact", "plms", 3]


def test_several_pictures_are_numbered_enlarged_and_overlaid(here, model, capsys):
    code = run(
        *("generate", "--model", model, "--region", DOG, "--steps", 1, "--num-images", 2),
        *("--seed", 5, "--enlarge", 2, "--overlay", "--width", 96, "-o", "sheet.png"),
    )
    assert code == 0
    names = ["sheet-1.png", "sheet-1-boxes.png", "sheet-2.png", "sheet-2-boxes.png"]
    assert capsys.readouterr().out.split("\n")[:4] == [
        "sheet-1.png  seed 5",
        "sheet-1-boxes.png",
        "sheet-2.png  seed 6",
        "sheet-2-boxes.png",
    ]
    assert sorted(path.name for path in here.glob("sheet*")) == sorted(names)
    assert pixels("sheet-1.png").shape == (128, 192, 3)
    assert pixels("sheet-1-boxes.png").shape[1] >= 512
    assert read_settings("sheet-2.png")["seed"] == 6
    assert read_settings("sheet-1.png")["prompt"] == "a dog"


def test_a_saved_layout_is_a_layout_file(here, model, capsys):
    common = ("generate", "--model", model, "--steps", 1, "--seed", 2)
    assert run(*common, "--region", DOG, "--save-layout", "dog.json", "-o", "a.png") == 0
    assert capsys.readouterr().out == "a.png  seed 2\ndog.json\n"
    saved = json.loads((here / "dog.json").read_text())
    assert (saved["gligen"], saved["width"], saved["height"]) == (1, 64, 64)
    assert run(*common, "--layout", "dog.json", "-o", "b.png") == 0
    assert np.array_equal(pixels("a.png"), pixels("b.png"))
    assert run(*common, "--region", DOG, "--save-layout", "no/dog.json") == 2
    assert "no folder for the layout" in capsys.readouterr().err


def test_a_layout_file_and_regions_add_up(here, model):
    (here / "layout.json").write_text(json.dumps([{"phrase": "a sun", "box": [0, 0, 0.5, 0.5]}]))
    code = run(
        *("generate", "--model", model, "--layout", "layout.json", "--region", DOG),
        *("--prompt", "a field", "--append-grounding", "--schedule", 0.5, 0.5, 0, "--steps", 2),
    )
    assert code == 0
    settings = read_settings("out.png")
    assert [region["phrase"] for region in settings["regions"]] == ["a sun", "a dog"]
    assert settings["prompt"] == "a field; a sun; a dog"
    assert settings["gate_schedule"] == [0.5, 0.5, 0.0]


def test_inpaint_keeps_what_the_mask_does_not_cover(here, model):
    code = run(
        *("inpaint", "--model", model, "--image", "photo.png", "--mask", "mask.png"),
        *("--region", DOG, "--feather", 2, "--steps", 2, "--seed", 3, "-o", "new.png"),
    )
    assert code == 0
    before, after = pixels("photo.png"), pixels("new.png")
    hole = pixels("mask.png") > 0
    assert np.array_equal(before[~hole], after[~hole])
    assert not np.array_equal(before[hole], after[hole])
    assert read_settings("new.png")["mask"] == "painted"


def test_an_adapter_on_a_base(here, model):
    for kind, name in zip(KINDS[:2], ("one", "other"), strict=True):
        path = model / "adapters" / f"{name}.safetensors"
        command = ("generate",) if kind == KINDS[0] else ("inpaint", "--image", "photo.png")
        code = run(*command, "--model", path, "--base", model, "--region", DOG, "--steps", 1)
        assert code == 0


# ---------------------------------------------------------------- info and help


def test_info_says_what_things_are(here, model, capsys):
    (model / "training.json").write_text(json.dumps({"base": {"steps": 12}, "found": 0.5}))
    assert run("info", model) == 0
    text = capsys.readouterr().out
    assert "diffusers folder" in text
    assert "kind: plain Stable Diffusion" in text
    assert "kind: inpainting_text_box" in text
    assert "first convolution: its own" in text
    assert "      steps: 12" in text
    assert "    found: 0.5" in text

    assert run("info", model / "adapters" / "one.safetensors") == 0
    text = capsys.readouterr().out
    assert "adapter (the new layers alone)" in text
    assert "trained on: small" in text

    run("generate", "--model", model, "--prompt", "x", "--steps", 1, "--seed", 99)
    capsys.readouterr()
    assert run("info", "out.png") == 0
    assert "  seed: 99" in capsys.readouterr().out


def test_every_help_names_options_with_defaults_and_samplers(capsys):
    for command in ("generate", "inpaint", "info"):
        with pytest.raises(SystemExit) as leaving:
            run(command, "--help")
        assert leaving.value.code == 0
        text = capsys.readouterr().out
        assert "examples:" in text
        assert command in text
        if command != "info":
            assert all(name in text for name in SAMPLERS)
            assert text.count("default") >= 12


HELP = """
import runpy, sys
sys.argv = ["gligen", "--help"]
try:
    runpy.run_module("gligen", run_name="__main__")
except SystemExit:
    heavy = {"torch", "diffusers", "transformers", "gradio", "pandas", "scipy"}
    sys.exit(", ".join(heavy & set(sys.modules)) or None)
"""


def test_help_imports_nothing_heavy():
    """So it answers at once; `benchmarks/start_up.py` measures it."""
    done = subprocess.run([sys.executable, "-c", HELP], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "generate" in done.stdout


# ---------------------------------------------------------------- bad input

GENERATE = ("generate", "--model", "{model}", "--steps", "1")
INPAINT = ("inpaint", "--model", "{model}", "--steps", "1")
LONG = " ".join(["abcdefgh"] * 15)

BAD_INPUT = {
    "no command": ((), "COMMAND"),
    "unknown command": (("paint",), "'paint'"),
    "unknown option": ((*GENERATE, "--prompt", "x", "--stepz", "3"), "--stepz"),
    "option without value": ((*GENERATE, "--prompt"), "--prompt"),
    "steps not a number": ((*GENERATE, "--steps", "many"), "'many'"),
    "no steps": ((*GENERATE, "--prompt", "x", "--steps", "0"), "is 0"),
    "too many steps": ((*GENERATE, "--prompt", "x", "--steps", "1001"), "1001"),
    "neither prompt nor region": (GENERATE, "neither a prompt nor a region"),
    "region without box": ((*GENERATE, "--region", "a dog"), "'a dog'"),
    "region with three numbers": ((*GENERATE, "--region", "a dog: 0,0,1"), "'a dog: 0,0,1'"),
    "region with words": ((*GENERATE, "--region", "dog: a,b,c,d"), "'dog: a,b,c,d'"),
    "box outside": ((*GENERATE, "--region", "a dog: 0,0,1.5,1"), "(0, 0, 1.5, 1)"),
    "box in pixels": ((*GENERATE, "--region", "a dog: 10,20,300,400"), "divide pixels"),
    "box inverted": ((*GENERATE, "--region", "a dog: 0.5,0.2,0.4,0.9"), "(0.5, 0.2, 0.4, 0.9)"),
    "box upside down": ((*GENERATE, "--region", "a dog: 0.2,0.9,0.4,0.1"), "y0 must be smaller"),
    "box with NaN": ((*GENERATE, "--region", "a dog: 0,0,nan,1"), "(0, 0, nan, 1)"),
    "box with infinity": ((*GENERATE, "--region", "a dog: 0,0,inf,1"), "(0, 0, inf, 1)"),
    "region without phrase": ((*GENERATE, "--region", ": 0,0,1,1"), "Region 1 has no phrase"),
    "31 regions": ((*GENERATE, *(("--region", DOG) * 31)), "31 regions"),
    "long phrase": ((*GENERATE, "--region", f"{LONG}: 0,0,1,1"), "tokens"),
    "long prompt": ((*GENERATE, "--prompt", LONG), "tokens"),
    "long negative prompt": (
        (*GENERATE, "--prompt", "x", "--negative-prompt", LONG),
        "The negative prompt",
    ),
    "tau above 1": ((*GENERATE, "--prompt", "x", "--tau", "1.5"), "1.5"),
    "shares do not sum to 1": (
        (*GENERATE, "--prompt", "x", "--schedule", "0.5", "0.5", "0.5"),
        "sums to 1.5",
    ),
    "two shares": ((*GENERATE, "--prompt", "x", "--schedule", "0.5", "0.5"), "--schedule"),
    "tau and schedule": (
        (*GENERATE, "--prompt", "x", "--tau", "0.5", "--schedule", "1", "0", "0"),
        "not allowed with",
    ),
    "guidance below 1": ((*GENERATE, "--prompt", "x", "--guidance", "0.5"), "0.5"),
    "guidance NaN": ((*GENERATE, "--prompt", "x", "--guidance", "nan"), "nan"),
    "unknown sampler": ((*GENERATE, "--prompt", "x", "--sampler", "lms"), "'lms'"),
    "unknown preset": ((*GENERATE, "--prompt", "x", "--preset", "best"), "'best'"),
    "preset out of range": ((*GENERATE, "--prompt", "x", "--preset", "deepcache=1"), "2 to 10"),
    "unknown preset of inpaint": (
        (*INPAINT, "--image", "photo.png", "--region", DOG, "--preset", "best"),
        "'best'",
    ),
    "negative seed": ((*GENERATE, "--prompt", "x", "--seed", "-1"), "-1"),
    "no pictures": ((*GENERATE, "--prompt", "x", "--num-images", "0"), "is 0"),
    "17 pictures": ((*GENERATE, "--prompt", "x", "--num-images", "17"), "17"),
    "odd width": ((*GENERATE, "--prompt", "x", "--width", "67"), "67"),
    "huge height": ((*GENERATE, "--prompt", "x", "--height", "40000"), "40000"),
    "output is no PNG": ((*GENERATE, "--prompt", "x", "-o", "out.jpg"), "'out.jpg'"),
    "output folder missing": ((*GENERATE, "--prompt", "x", "-o", "no/out.png"), "'no'"),
    "enlarged 0 times": ((*GENERATE, "--prompt", "x", "--enlarge", "0"), "is 0"),
    "layout missing": ((*GENERATE, "--layout", "no.json"), "'no.json'"),
    "layout not JSON": ((*GENERATE, "--layout", "broken.json"), "layout is not JSON"),
    "layout a picture": ((*GENERATE, "--layout", "photo.png"), "'photo.png'"),
    "no picture": ((*INPAINT, "--region", DOG), "--image"),
    "picture missing": ((*INPAINT, "--image", "no.png", "--region", DOG), "'no.png'"),
    "picture is text": ((*INPAINT, "--image", "broken.json", "--region", DOG), "'broken.json'"),
    "picture truncated": ((*INPAINT, "--image", "half.png", "--region", DOG), "'half.png'"),
    "picture too large": ((*INPAINT, "--image", "huge.png", "--region", DOG), "50 megapixels"),
    "no hole": ((*INPAINT, "--image", "photo.png", "--prompt", "x"), "no hole"),
    "empty mask": (
        (*INPAINT, "--image", "photo.png", "--mask", "black.png", "--prompt", "x"),
        "mask",
    ),
    "mask of another size": (
        (*INPAINT, "--image", "photo.png", "--mask", "black-small.png", "--region", DOG),
        "10 x 10",
    ),
    "negative feather": (
        (*INPAINT, "--image", "photo.png", "--region", DOG, "--feather", "-3"),
        "-3",
    ),
    "no model": (("generate", "--prompt", "x", "--model", "no/where/at-all"), "'no/where/at-all'"),
    "model on an unreachable hub": (
        ("generate", "--prompt", "x", "--model", "owner/model"),
        "'owner/model'",
    ),
    "model is a picture": (("generate", "--prompt", "x", "--model", "photo.png"), "'photo.png'"),
    "model truncated": (("generate", "--prompt", "x", "--model", "half.safetensors"), "truncated"),
    "model is an empty file": (
        ("generate", "--prompt", "x", "--model", "empty.pth"),
        "'empty.pth'",
    ),
    "model is a pickle with code": (
        ("generate", "--prompt", "x", "--model", "evil.pth"),
        "refused",
    ),
    "model is any folder": (("generate", "--prompt", "x", "--model", "."), "model_index.json"),
    "adapter without base": (
        ("generate", "--prompt", "x", "--model", "{model}/adapters/one.safetensors"),
        "--base",
    ),
    "adapter of the other kind": (
        (
            *("generate", "--prompt", "x", "--base", "{model}"),
            *("--model", "{model}/adapters/other.safetensors"),
        ),
        "holds inpainting_text_box, not generation_text_box",
    ),
    "unknown device": ((*GENERATE, "--prompt", "x", "--device", "warp"), "'warp'"),
    "unknown dtype": ((*GENERATE, "--prompt", "x", "--dtype", "int8"), "'int8'"),
    "info on nothing": (("info", "nothing-here"), "'nothing-here'"),
    "info on a foreign picture": (("info", "photo.png"), "carries no settings"),
    "info on text": (("info", "broken.json"), "not a model"),
}


@pytest.fixture
def spoiled(here, model):
    """Add files that cannot be used."""
    (here / "broken.json").write_text("{'phrase'")
    (here / "half.png").write_bytes((here / "photo.png").read_bytes()[:400])
    adapter = (model / "adapters" / "one.safetensors").read_bytes()
    (here / "half.safetensors").write_bytes(adapter[:4000])
    (here / "empty.pth").write_bytes(b"")
    # A pickle that would call os.getcwd().
    (here / "evil.pth").write_bytes(b"\x80\x02cos\ngetcwd\n)R.")
    Image.new("L", (100, 70)).save("black.png")
    Image.new("L", (10, 10), 255).save("black-small.png")
    Image.new("1", (10000, 5000)).save("huge.png")
    return here


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_gets_one_sentence_and_exit_code_2(spoiled, model, case, capsys):
    arguments, value = BAD_INPUT[case]
    before = {path.name for path in spoiled.iterdir()}
    try:
        code = run(*(str(argument).replace("{model}", str(model)) for argument in arguments))
    except SystemExit as leaving:
        code = leaving.code
    out, err = capsys.readouterr()
    assert code == 2
    assert out == ""
    assert err.startswith("gligen: error: ")
    assert err.count("\n") == 1
    assert value in err
    assert len(err.split(": ", 2)[2]) > 20
    assert {path.name for path in spoiled.iterdir()} == before


def test_a_defect_shows_its_traceback(here, model, monkeypatch):
    def broken(*_):
        raise ValueError("a defect while painting")

    monkeypatch.setattr(cli, "_show_step", broken)
    with pytest.raises(ValueError, match="a defect while painting"):
        run("generate", "--model", model, "--prompt", "x", "--steps", 2)
    assert not (here / "out.png").exists()


def test_an_interrupted_run_says_so_and_writes_nothing(here, model, monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_show_step", interrupt)
    assert run("generate", "--model", model, "--prompt", "x", "--steps", 2) == 130
    assert capsys.readouterr().err.endswith(
        "gligen: interrupted; nothing unfinished was written.\n"
    )
    assert not (here / "out.png").exists()


def test_the_module_runs_and_ctrl_c_ends_it(here, model):
    command = [sys.executable, "-m", "gligen", "generate", "--model", str(model)]
    command += ["--prompt", "x", "--steps", "500", "--num-images", "16"]
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | paths,
        cwd=here,
        # Shells start background jobs with the signal ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stderr is not None
    while (line := process.stderr.readline()) and "Step" not in line:
        pass
    assert "Step" in line
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err


def test_too_little_memory_is_one_sentence(here, model, monkeypatch, capsys):
    from gligen.outofmemory import OutOfMemoryError, sentence

    def full(index, num_steps):
        raise OutOfMemoryError(sentence((64, 64)))

    monkeypatch.setattr(cli, "_show_step", full)
    code = run("generate", "--model", model, "--prompt", "x", "--steps", 2, "-o", "x.png")
    assert code == cli.NO_MEMORY
    assert "64 x 64 pixels; ask for a smaller one" in capsys.readouterr().err
    assert not (here / "x.png").exists()
