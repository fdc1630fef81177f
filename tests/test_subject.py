"""Pictures, people and maps on the command line, and which kind of model they ask for."""

import json

import numpy as np
import pytest
from PIL import Image

from gligen import loading
from gligen.arguments import build_parser
from gligen.cli import main
from gligen.kinds import KINDS
from gligen.pictures.metadata import read_settings
from gligen.subject import choose_kind, read_layout
from tests.conftest import small_pipeline

DOG = "a dog: 0.1,0.1,0.6,0.8"
PLACE = ": 0.5,0.5,0.9,0.9"
POINTS = [[0.5, 0.1 + 0.05 * joint] for joint in range(17)]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Work in an empty folder with pictures and a pose."""
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (40, 20), "red").save("red.png")
    Image.new("RGB", (20, 40), "blue").save("blue.png")
    edges = Image.new("L", (64, 64))
    edges.paste(255, (20, 20, 40, 21))
    edges.save("edges.png")
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (90, 120, 3), np.uint8)).save("photo.png")
    (tmp_path / "pose.json").write_text(json.dumps([POINTS]))
    return tmp_path


@pytest.fixture
def asked(monkeypatch):
    """Load small models of random weights, and remember what was asked of them."""
    requests = []

    def load(model, kind, *more):
        pipeline = small_pipeline(kind)
        stream = pipeline.stream

        def watched(request):
            requests.append((kind, request))
            return stream(request)

        monkeypatch.setattr(pipeline, "stream", watched)
        return pipeline

    monkeypatch.setattr(loading, "load_pipeline", load)
    return requests


def run(command: str, *arguments) -> int:
    return main([command, *map(str, arguments), "--steps", "2", "--seed", "3"])


def layout_of(*arguments):
    return read_layout(build_parser().parse_args(arguments))


# ---------------------------------------------------------------- pictures


def test_regions_have_pictures_beside_their_phrase_or_instead(here, asked):
    pictures = ("--region-image", "1=blue.png", "--region-image", "2=red.png")
    code = run("generate", "--region", DOG, "--region", PLACE, *pictures, "--style", "blue.png")
    assert code == 0
    ((kind, request),) = asked
    assert kind == "generation_text_image_box"
    assert [region.phrase for region in request.layout] == ["a dog", ""]
    sizes = [region.image and region.image.size for region in request.layout]
    assert sizes == [(20, 40), (40, 20)]
    assert request.layout.style.size == (20, 40)
    assert (request.style_box, request.crop_references) == ("official", False)
    # As the authors ran this kind, unless --tau says otherwise.
    assert request.gate_schedule == 1.0
    settings = read_settings("out.png")
    assert [region["has_picture"] for region in settings["regions"]] == [True, True]


def test_how_pictures_are_used_is_passed_on_and_changes_the_picture(here, asked):
    common = ("generate", "--region", DOG, "--region-image", "1=photo.png")
    assert run(*common, "-o", "a.png") == 0
    assert run(*common, "--crop-references", "-o", "b.png") == 0
    assert run(*common, "--style", "red.png", "-o", "c.png") == 0
    assert run(*common, "--style", "red.png", "--style-box", "space", "-o", "d.png") == 0
    assert [request.crop_references for _, request in asked] == [False, True, False, False]
    assert asked[-1][1].style_box == "space"
    made = []
    for name in "abcd":
        with Image.open(f"{name}.png") as picture:
            made.append(picture.tobytes())
    assert len(set(made)) == 4


def test_inpainting_takes_pictures_too(here, asked):
    code = run(
        *("inpaint", "--image", "photo.png", "--region", PLACE),
        *("--region-image", "1=red.png", "--overlay"),
    )
    assert code == 0
    assert asked[0][0] == "inpainting_text_image_box"
    assert (here / "out-boxes.png").exists()


# ---------------------------------------------------------------- people and maps


def test_people_come_from_a_pose_and_from_a_layout(here, asked):
    whole = {"regions": [], "persons": [POINTS]}
    (here / "layout.json").write_text(json.dumps(whole))
    code = run(
        *("generate", "--prompt", "dancers", "--layout", "layout.json"),
        *("--keypoints", "pose.json", "--overlay"),
    )
    assert code == 0
    ((kind, request),) = asked
    assert kind == "keypoint"
    assert len(request.layout.persons) == 2
    assert request.gate_schedule == 0.3
    assert len(read_settings("out.png")["persons"]) == 2
    # The overlay shows them.
    with Image.open("out.png") as plain, Image.open("out-boxes.png") as overlay:
        enlarged = plain.resize(overlay.size, Image.Resampling.LANCZOS)
        assert enlarged.tobytes() != overlay.tobytes()


def test_a_map_and_the_edges_of_a_photo(here, asked):
    assert run("generate", "--prompt", "x", "--kind", "hed", "--map", "edges.png") == 0
    assert run("generate", "--prompt", "x", "--canny-from", "photo.png", "--width", "96") == 0
    high = ("--canny-thresholds", "2000", "2040")
    assert run("generate", "--prompt", "x", "--canny-from", "photo.png", *high) == 0
    (hed, first), (canny, second), (_, third) = asked
    assert (hed, canny) == ("hed", "canny")
    assert first.layout.map.size == (64, 64)
    assert (first.gate_schedule, second.gate_schedule) == (0.9, 0.9)
    # The edges are as large as the picture that is made.
    assert second.layout.map.size == (96, 64)
    assert np.count_nonzero(second.layout.map) > 20 * np.count_nonzero(third.layout.map)


def test_tau_is_the_usual_one_of_the_kind_unless_it_is_said(here, asked):
    run("generate", "--prompt", "x", "--kind", "semantic", "--map", "edges.png", "--tau", "0.2")
    run("generate", "--region", DOG)
    assert [request.gate_schedule for _, request in asked] == [0.2, 0.3]


# ---------------------------------------------------------------- the kind


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (["generate", "--prompt", "x"], "generation_text_box"),
        (["generate", "--region", DOG], "generation_text_box"),
        (["generate", "--region", DOG, "--style", "red.png"], "generation_text_image_box"),
        (["generate", "--keypoints", "pose.json"], "keypoint"),
        (["generate", "--canny-from", "photo.png"], "canny"),
        (["generate", "--map", "edges.png", "--kind", "depth"], "depth"),
        (["generate", "--kind", "generation_text_image_box"], "generation_text_image_box"),
        (["inpaint", "--image", "photo.png", "--region", DOG], "inpainting_text_box"),
        (
            ["inpaint", "--image", "photo.png", "--region", DOG, "--style", "red.png"],
            "inpainting_text_image_box",
        ),
    ],
)
def test_the_kind_follows_from_what_is_given(here, arguments, kind):
    options = build_parser().parse_args(arguments)
    assert choose_kind(options, read_layout(options)) == kind
    assert kind in KINDS


def test_pictures_are_counted_over_layout_and_regions(here):
    (here / "layout.json").write_text(json.dumps([{"phrase": "a sun", "box": [0, 0, 1, 1]}]))
    layout = layout_of(
        *("generate", "--layout", "layout.json", "--region", DOG, "--region-image", "2=red.png")
    )
    assert [region.image is not None for region in layout] == [False, True]


# ---------------------------------------------------------------- bad input

BAD_INPUT = {
    "picture without number": (["--region", DOG, "--region-image", "red.png"], "equals sign"),
    "picture of no region": (["--region-image", "1=red.png"], "there are 0 regions"),
    "picture of region 0": (["--region", DOG, "--region-image", "0=red.png"], "region 0"),
    "picture missing": (["--region", DOG, "--region-image", "1=no.png"], "'no.png'"),
    "two pictures": (
        ["--region", DOG, "--region-image", "1=red.png", "--region-image", "1=blue.png"],
        "two reference pictures",
    ),
    "picture is text": (["--region", DOG, "--region-image", "1=pose.json"], "not a picture"),
    "style missing": (["--style", "no.png"], "'no.png'"),
    "style box": (["--region", DOG, "--style", "red.png", "--style-box", "here"], "'here'"),
    "pose missing": (["--keypoints", "no.json"], "'no.json'"),
    "pose is a picture": (["--keypoints", "red.png"], "it is not text"),
    "pose is no JSON": (["--keypoints", "broken.json"], "not JSON"),
    "people for another kind": (
        ["--keypoints", "pose.json", "--kind", "generation_text_box"],
        "does not read keypoints",
    ),
    "boxes and people": (["--keypoints", "pose.json", "--region", DOG], "does not read boxes"),
    "map without kind": (["--map", "edges.png"], "say which with --kind: hed, canny"),
    "map missing": (["--map", "no.png", "--kind", "depth"], "'no.png'"),
    "map and photo": (["--map", "edges.png", "--canny-from", "photo.png"], "not allowed with"),
    "coloured depth": (["--map", "red.png", "--kind", "depth"], "must be grey"),
    "map for boxes": (["--map", "edges.png", "--kind", "generation_text_box"], "a map"),
    "photo for depth": (["--canny-from", "photo.png", "--kind", "depth"], "not depth"),
    "thresholds": (
        ["--canny-from", "photo.png", "--canny-thresholds", "200", "100"],
        "low <= high",
    ),
    "one threshold": (["--canny-from", "photo.png", "--canny-thresholds", "2"], "--canny-thresh"),
    "unknown kind": (["--kind", "sketch"], "'sketch'"),
    "kind of the other command": (["--kind", "inpainting_text_box"], "`inpaint`"),
    "guidance rescale": (["--guidance-rescale", "2"], "rescale is 2"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_gets_one_sentence_and_exit_code_2(here, asked, case, capsys):
    arguments, words = BAD_INPUT[case]
    (here / "broken.json").write_text("{'a'")
    try:
        code = run("generate", "--prompt", "x", *arguments)
    except SystemExit as leaving:
        code = leaving.code
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert err.startswith("gligen: error: ")
    assert err.count("\n") == 1
    assert words in err
    assert not (here / "out.png").exists()
