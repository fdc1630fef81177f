"""The flags of app.py, and what follows from them."""

import subprocess
import sys
from pathlib import Path

import pytest

from demo import loading, startup
from demo.flags import LOADS, parse_flags
from demo.handlers import Options
from demo.service import GENERATION, IMAGE_GENERATION, INPAINTING, ModelCard
from demo.startup import check_flags, choose_model, default_options, desk_of, serving_of
from gligen.kinds import KINDS

ROOT = Path(__file__).parents[2]


def test_the_original_s_command_line_is_understood():
    line = (
        "--load-text-box-generation False --load-text-box-inpainting True "
        "--load-text-image-box-generation True --guidance_scale 5 --alpha_scale 1 "
        "--folder samples --official_ckpt sd.ckpt"
    )
    flags = parse_flags(line.split())
    assert flags.load[GENERATION] is False
    assert flags.load[INPAINTING] is True
    assert flags.load[IMAGE_GENERATION] is True
    assert flags.load["canny"] is None
    assert flags.guidance_scale == 5
    assert flags.folder == Path("samples")
    assert flags.base == "sd.ckpt"


def test_every_kind_has_a_flag_that_loads_it():
    assert tuple(LOADS) == KINDS
    for kind, (name, _) in LOADS.items():
        flags = parse_flags([name, "True"])
        assert [k for k, said in flags.load.items() if said] == [kind]
        assert (
            name == f"--load-{kind.removeprefix('generation_').replace('_', '-')}" or "box" in name
        )


def test_flags_that_are_left_out():
    flags = parse_flags([])
    assert (flags.model, flags.share) == ("auto", None)
    assert set(flags.load.values()) == {None}
    assert default_options(flags) == Options()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--load-text-box-generation", "yes"], "write True or False"),
        (["--share", "maybe"], "auto, True or False"),
        (["--server-port", "99999"], "1 to 65535"),
        (["--server-port", "http"], "1 to 65535"),
        (["--guidance_scale", "0"], "from 1"),
        (["--guidance_scale", "much"], "must be a number"),
        (["--alpha_scale", "0.5"], "write 1"),
        (["--dtype", "int8"], "float16"),
        (["--preset", "best"], "no preset 'best'; there are: exact, fast, faster"),
        (["--preset", "deepcache=1"], "it must be once in 2 to 10"),
        (["--auth", "anna"], "a colon and a password"),
        (["--auth-file", "no/such/file"], "cannot be read"),
        (["--max-queue", "0"], "from 1 to"),
        (["--max-queue", "-3"], "from 1 to"),
        (["--max-batch", "0"], "from 1 to"),
        (["--device-budget", "6"], "a number and a unit"),
        (["--device-budget", "0GB"], "a number and a unit"),
        (["--device-budget", "6 parsecs"], "a number and a unit"),
        (["--rate-limit", "many"], "from 1 to"),
        (["--grace", "inf"], "must be a number"),
        (["--grace", "-1"], "from 0 to 3600"),
        (["--folder", "a", "--output-folder", "b"], "give one of them"),
        (["--modle", "embedded"], "--modle"),
    ],
)
def test_a_wrong_value_ends_with_status_2_and_a_sentence(arguments, words, capsys):
    with pytest.raises(SystemExit) as exit_info:
        parse_flags(arguments)
    assert exit_info.value.code == 2
    assert words in capsys.readouterr().err


def test_flags_for_many_people():
    line = (
        "--max-queue 3 --rate-limit 6 --grace 2.5 --no-safety-checker --log-prompts --mcp "
        "--output-folder kept --max-batch 6"
    )
    flags = parse_flags(line.split())
    assert (flags.max_queue, flags.rate_limit, flags.grace) == (3, 6, 2.5)
    assert (flags.checks_safety, flags.logs_prompts, flags.mcp) == (False, True, True)
    assert flags.folder == Path("kept")
    desk = desk_of(flags, ModelCard("x", "", "cpu"))
    assert (desk.line.max_waiting, desk.line.max_batch) == (3, 6)
    serving, _ = serving_of(flags)
    assert (serving.has_mcp, serving.max_waiting) == (True, 3)
    left_out = parse_flags([])
    cards = {name: ModelCard("x", "", name) for name in ("cpu", "mps", "cuda", "cuda:1")}
    defaults = {name: desk_of(left_out, card).line.max_batch for name, card in cards.items()}
    assert desk_of(left_out, ModelCard("x", "", "cuda", max_batch=3)).line.max_batch == 3
    assert left_out.device_budget is None
    assert defaults == {"cpu": 4, "mps": 4, "cuda": 8, "cuda:1": 8}
    assert (left_out.max_queue, left_out.rate_limit, left_out.folder) == (16, None, None)
    assert (left_out.checks_safety, left_out.logs_prompts, left_out.mcp) == (True, False, False)


def test_several_may_log_in(tmp_path):
    (tmp_path / "pairs").write_text("# of the lab\nben:a:b\n\nclara:word\n")
    arguments = ["--auth", "anna:secret", "--auth", "eve:x", "--auth-file", str(tmp_path / "pairs")]
    pairs = parse_flags(arguments).auth
    assert set(pairs) == {("anna", "secret"), ("eve", "x"), ("ben", "a:b"), ("clara", "word")}
    assert parse_flags([]).auth == ()


@pytest.mark.parametrize(
    ("content", "words"), [("anna:a\nben\n", "line 2"), ("# nobody\n", "holds no pair")]
)
def test_a_wrong_file_of_pairs_is_said(tmp_path, capsys, content, words):
    (tmp_path / "pairs").write_text(content)
    with pytest.raises(SystemExit):
        parse_flags(["--auth-file", str(tmp_path / "pairs")])
    assert words in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_refused_at_the_start(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "inside"):
        with pytest.raises(ValueError, match="--output-folder"):
            check_flags(parse_flags(["--output-folder", str(folder)]))
    check_flags(parse_flags(["--output-folder", str(tmp_path / "new" / "one")]))
    assert list((tmp_path / "new" / "one").iterdir()) == []


def test_mcp_without_its_package_is_refused_at_the_start(monkeypatch):
    monkeypatch.setattr(startup.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'gradio\[mcp\]'"):
        check_flags(parse_flags(["--mcp"]))
    check_flags(parse_flags([]))


def test_presets_and_alpha_change_the_first_values():
    fast = default_options(parse_flags(["--preset", "fast", "--alpha_scale", "0"]))
    assert (fast.sampler, fast.num_inference_steps, fast.tau) == ("dpm++", 20, 0)
    assert fast.preset == "fast"
    faster, deep = (
        default_options(parse_flags(["--preset", n])) for n in ("faster", "deepcache=4")
    )
    assert (faster.preset, faster.sampler, faster.num_inference_steps) == ("faster", "dpm++", 20)
    assert (deep.preset, deep.sampler, deep.num_inference_steps) == ("deepcache=4", "plms", 50)


def test_auto_takes_the_embedded_model_without_cuda_and_says_why():
    choice = choose_model(parse_flags([]), has_cuda=False)
    assert choice.source == "embedded"
    assert "CUDA" in choice.reason
    assert choose_model(parse_flags([]), has_cuda=True).source == "official"
    named = choose_model(parse_flags(["--model", "owner/model"]), has_cuda=True)
    assert named.source == "owner/model"


@pytest.mark.parametrize(
    ("arguments", "source", "asked"),
    [
        ([], "embedded", None),
        ([], "official", [GENERATION]),
        (["--load-text-box-inpainting", "True"], "official", [GENERATION, INPAINTING]),
        (["--load-text-box-generation", "False"], "official", []),
        (["--load-keypoint", "True", "--load-hed", "False"], "official", [GENERATION, "keypoint"]),
        (["--load-canny", "True"], "some/folder", None),
    ],
)
def test_which_kinds_are_asked_for(monkeypatch, arguments, source, asked):
    calls = []

    def load(source, kinds, *more, **options):
        calls.append(kinds)
        return dict.fromkeys(kinds or (GENERATION, INPAINTING))

    monkeypatch.setattr(loading, "load_pipelines", load)
    found = loading.load_kinds(source, parse_flags(arguments))
    assert calls == ([asked] if asked != [] else [])
    assert list(found) == ([GENERATION, INPAINTING] if asked is None else asked)


def test_the_flag_tells_a_file_of_canny_from_one_of_depth(monkeypatch, tmp_path):
    calls = []

    def load(source, kinds, *more, **options):
        calls.append((kinds, options))
        return {}

    monkeypatch.setattr(loading, "load_pipelines", load)
    (tmp_path / "map.safetensors").touch()
    flags = parse_flags(["--load-depth", "True", "--trained-on", "sd.pth", "--projection", "p"])
    loading.load_kinds(str(tmp_path / "map.safetensors"), flags)
    assert calls == [(["depth"], {"trained_on": "sd.pth", "projection": "p"})]


def test_a_kind_that_is_refused_is_dropped(monkeypatch):
    monkeypatch.setattr(
        loading, "load_pipelines", lambda *a, **k: {GENERATION: None, INPAINTING: None}
    )
    flags = parse_flags(["--load-text-box-inpainting", "False"])
    assert list(loading.load_kinds("embedded", flags)) == [GENERATION]


def test_share_without_network_is_said_and_not_tried(monkeypatch):
    monkeypatch.setattr(startup, "_can_reach", lambda host: False)
    serving, note = serving_of(parse_flags(["--share", "True"]))
    assert not serving.share
    assert "cannot be reached" in note


def test_auto_shares_in_a_notebook_service_only(monkeypatch):
    monkeypatch.setattr(startup, "_can_reach", lambda host: True)
    for name in startup.NOTEBOOK_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert not serving_of(parse_flags([]))[0].share
    monkeypatch.setenv("COLAB_RELEASE_TAG", "x")
    assert serving_of(parse_flags([]))[0].share
    assert not serving_of(parse_flags(["--share", "False"]))[0].share


@pytest.mark.slow
def test_a_missing_model_ends_with_status_2_and_a_sentence():
    done = subprocess.run(
        [sys.executable, "app.py", "--model", "no/such-folder/here"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert "There is no model 'no/such-folder/here'" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_model_starts_with_the_usual_tau_of_its_kind():
    usual = ModelCard("official", "", "cuda")
    assert [usual.tau(kind) for kind in (GENERATION, IMAGE_GENERATION, "canny")] == [0.3, 1.0, 0.9]
    assert default_options(parse_flags([])).tau is None


def test_a_kind_that_the_model_does_not_hold_is_said():
    notes = startup._notes(parse_flags(["--load-keypoint", "True"]), {GENERATION: None})
    assert len(notes) == 1
    assert "keypoint" in notes[0]


def test_a_model_that_lacks_a_kind_sends_to_the_official_ones():
    flags = parse_flags(["--load-hed", "False"])
    lacking = startup._lacking("embedded", flags, {GENERATION: None})
    assert "canny" in lacking
    assert not {"hed", GENERATION} & set(lacking)
    assert startup._lacking("official", flags, {GENERATION: None}) == []
    card = ModelCard("embedded", "", "cpu", lacking=frozenset(lacking))
    assert card.way_to("canny") == "--model official --load-canny True"
    assert card.way_to("hed") == "--load-hed True"


@pytest.mark.parametrize(
    ("text", "size"),
    [("6GB", 6 * 10**9), ("5.5 gib", 5.5 * 2**30), ("800MB", 8 * 10**8), ("1MiB", 2**20)],
)
def test_memory_is_read_with_its_unit(text, size):
    assert parse_flags(["--device-budget", text]).device_budget == size
