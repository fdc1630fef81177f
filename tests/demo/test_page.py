"""The served page over HTTP: named endpoints, headers, and faults that do not stop it."""

import base64
import json
import urllib.error
import urllib.request
from dataclasses import fields

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from demo.calls import OPTION_TYPES, read_options
from demo.handlers import Options
from demo.service import FLAGS, GENERATION, IMAGE_GENERATION, INPAINTING
from gligen.kinds import KINDS
from gligen.pictures.metadata import read_settings
from tests.demo.fake_service import FakeService
from tests.demo.serving import served

REGIONS = [{"phrase": "sun", "box": [0, 0, 0.5, 0.5]}, {"phrase": "sun", "box": [0.5, 0.5, 1, 1]}]


@pytest.fixture(scope="module")
def service():
    return FakeService(KINDS)


@pytest.fixture(scope="module")
def address(service):
    with served(service) as address:
        yield address


@pytest.fixture(scope="module")
def client(address, tmp_path_factory):
    client = Client(address, verbose=False, download_files=str(tmp_path_factory.mktemp("got")))
    yield client
    client.close()


def test_generate_returns_png_files_with_settings(client, service):
    options = {"seed": 7, "num_inference_steps": 3, "num_images": 2, "shares": [0.5, 0.3, 0.2]}
    files, details = client.predict("", REGIONS, options, api_name="/generate")
    assert len(files) == 2
    assert details["seeds"] == [7, 8]
    assert details["prompt"] == "sun"
    assert read_settings(files[1])["seed"] == 8
    kind, request = service.requests[-1]
    assert kind == GENERATION
    assert request.layout.phrases == ("sun", "sun")
    assert request.gate_schedule == (0.5, 0.3, 0.2)


def test_a_call_with_a_preset_has_its_sampler_and_steps(client, service):
    client.predict("", REGIONS, {"preset": "faster"}, api_name="/generate")
    _, request = service.requests[-1]
    assert (request.preset, request.sampler_name, request.num_steps) == ("faster", "dpm++", 20)
    options = {"preset": "deepcache=4", "num_inference_steps": 3}
    files, _ = client.predict("", REGIONS, options, api_name="/generate")
    _, request = service.requests[-1]
    assert (request.preset, request.sampler_name, request.num_steps) == ("deepcache=4", "plms", 3)
    assert read_settings(files[0])["preset"] == "deepcache=4"


def test_inpaint_takes_a_picture_and_a_mask(client, service, tmp_path):
    photo, mask = tmp_path / "photo.png", tmp_path / "mask.png"
    Image.new("RGB", (50, 35), "red").save(photo)
    Image.new("L", (50, 35), 255).save(mask)
    files, details = client.predict(
        handle_file(photo), "a sun", REGIONS, None, handle_file(mask), api_name="/inpaint"
    )
    with Image.open(files[0]) as picture:
        assert picture.size == (50, 35)
    assert any("mask was repainted" in note for note in details["notes"])
    kind, request = service.requests[-1]
    assert kind == INPAINTING
    assert request.inpaint_mask.getextrema() == (255, 255)


def test_regions_bring_pictures_as_files_or_as_data(client, service, tmp_path):
    Image.new("RGB", (40, 20), "red").save(tmp_path / "a.png")
    Image.new("RGB", (9, 9), "blue").save(tmp_path / "b.png")
    content = base64.b64encode((tmp_path / "b.png").read_bytes()).decode()
    regions = [
        {"phrase": "", "box": [0, 0, 0.5, 0.5], "image": handle_file(tmp_path / "a.png")},
        {**REGIONS[1], "image": f"data:image/png;base64,{content}"},
        {"phrase": "moon", "box": [0, 0.5, 0.5, 1]},
    ]
    options = {"crop_references": True, "num_inference_steps": 2}
    _, details = client.predict("a sky", regions, options, api_name="/generate")
    assert details["kind"] == IMAGE_GENERATION
    kind, request = service.requests[-1]
    assert kind == IMAGE_GENERATION
    assert [r.image and r.image.getpixel((2, 2)) for r in request.layout] == [
        (255, 0, 0),
        (0, 0, 255),
        None,
    ]
    assert request.crop_references
    assert request.gate_schedule == 1.0


def test_a_style_picture_is_answered_by_the_kind_that_reads_it(client, service, tmp_path):
    Image.new("RGB", (40, 20), "teal").save(tmp_path / "style.png")
    style = handle_file(tmp_path / "style.png")
    client.predict("", REGIONS, {"style_box": "space"}, style, api_name="/generate")
    kind, request = service.requests[-1]
    assert kind == IMAGE_GENERATION
    assert request.layout.style.size == (40, 20)
    assert request.style_box == "space"
    client.predict(style, "", REGIONS, None, None, style, api_name="/inpaint")
    assert service.requests[-1][0] == "inpainting_text_image_box"


def test_keypoints_take_people_as_plain_json(client, service):
    person = [[0.5, 0.1 + i * 0.05] if i != 3 else None for i in range(17)]
    options = {"num_inference_steps": 2, "seed": 3}
    files, details = client.predict("a dancer", [person], options, api_name="/keypoints")
    kind, request = service.requests[-1]
    assert (kind, details["kind"], details["seeds"]) == ("keypoint", "keypoint", [3])
    assert request.layout.persons[0].keypoints[3] is None
    assert request.layout.persons[0].keypoints[4] == (0.5, pytest.approx(0.3))
    assert read_settings(files[0])["persons"][0][0] == [0.5, 0.1]


@pytest.mark.parametrize(
    ("persons", "words"),
    [
        ("one", "must be a list"),
        ([[[0.5, 0.5]] * 16], "16 keypoints"),
        ([[[0.5, 1.5]] * 17], "lie in"),
        ([[[0.5, 0.5]] * 17] * 9, "9 people"),
        ([[None] * 17], "no visible"),
        ([7], "Person 1 is 7"),
        ([], "neither a prompt nor a person"),
    ],
)
def test_people_that_cannot_be_are_refused(client, persons, words):
    with pytest.raises(AppError, match=words):
        client.predict("", persons, None, api_name="/keypoints")


@pytest.fixture
def edges(tmp_path):
    picture = Image.new("L", (80, 80))
    picture.paste(255, (20, 20, 60, 22))
    picture.save(tmp_path / "edges.png")
    return handle_file(tmp_path / "edges.png")


def test_maps_take_a_map_or_for_canny_a_photo(client, service, edges):
    options = {"num_inference_steps": 2}
    _, details = client.predict("a room", "depth", edges, options, api_name="/maps")
    kind, request = service.requests[-1]
    assert (kind, details["kind"]) == ("depth", "depth")
    assert request.layout.map.mode == "L"
    assert request.layout.map.size == (80, 80)
    assert request.gate_schedule == 0.7
    client.predict("a bar", "canny", photo=edges, thresholds=[20, 40], api_name="/maps")
    derived = service.requests[-1][1].layout.map
    assert derived.size == (64, 64)
    assert derived.getextrema() == (0, 255)


@pytest.mark.parametrize(
    ("kind", "sent", "words"),
    [
        ("edges", {}, "no kind of map 'edges'"),
        ("keypoint", {}, "no kind of map 'keypoint'"),
        ("hed", {}, "no hed map yet"),
        ("depth", {"photo": True}, "kind canny only"),
        ("canny", {"photo": True, "map": True}, "instead of a map"),
        ("canny", {"photo": True, "thresholds": [1, 2, 3]}, "two numbers"),
        ("canny", {"photo": True, "thresholds": [200, 100]}, "low <= high"),
        ("canny", {"photo": True, "thresholds": ["1", True]}, "two numbers"),
    ],
)
def test_maps_that_cannot_be_are_refused(client, edges, kind, sent, words):
    files = {name: edges if value is True else value for name, value in sent.items()}
    with pytest.raises(AppError, match=words):
        client.predict("x", kind, **files, api_name="/maps")


def test_a_map_whose_kind_is_not_loaded_is_refused(tmp_path, edges):
    with served(FakeService((GENERATION,))) as address:
        client = Client(address, verbose=False, download_files=str(tmp_path))
        with pytest.raises(AppError, match="--load-canny True"):
            client.predict("x", "canny", edges, api_name="/maps")
        client.close()


def test_a_path_in_a_region_is_not_a_picture(client):
    for image in ("/etc/passwd", {"path": "/etc/passwd"}):
        regions = [{**REGIONS[0], "image": image}]
        with pytest.raises(AppError, match="must be an uploaded file"):
            client.predict("", regions, None, api_name="/generate")


@pytest.mark.parametrize(
    ("prompt", "regions", "options", "words"),
    [
        ("", [], None, "neither a prompt nor a box"),
        ("", [{"phrase": "sun", "box": [0.5, 0, 0.4, 1]}], None, "x0 must be smaller"),
        ("", [{"phrase": "sun", "box": [0, 0, 60, 80]}], None, r"\[0, 1\]"),
        ("", [{"phrase": "sun"}], None, "four numbers"),
        ("", [{"phrase": "sun", "box": [0, 0, 10**400, 1]}], None, "four numbers"),
        ("", REGIONS * 16, None, "32 boxes"),
        ("", "sun", None, "must be a list"),
        ("a sun", [], {"sede": 7}, "no option 'sede'"),
        ("a sun", [], {"seed": "seven"}, "seed is 'seven'"),
        ("a sun", [], {"seed": True}, "seed is True"),
        ("a sun", [], {"shares": ["a", "b", "c"]}, "a list of numbers"),
        ("a sun", [], {"num_images": "two"}, "num_images is 'two'"),
        ("a sun", [], {"num_images": 9}, "1 to 4"),
        ("a sun", [], {"num_inference_steps": 0}, "steps is 0"),
        ("a sun", [], {"guidance_scale": 0}, "guidance scale is 0"),
        ("a sun", [], {"tau": 2}, "Tau"),
        ("a sun", [], {"shares": [0.5, 0.5]}, "2 numbers"),
        ("a sun", [], {"sampler": "magic"}, "no sampler 'magic'"),
        ("a sun", [], [1, 2], "must be an object"),
    ],
)
def test_bad_calls_get_a_sentence_and_the_page_goes_on(
    client, address, prompt, regions, options, words
):
    with pytest.raises(AppError, match=words):
        client.predict(prompt, regions, options, api_name="/generate")
    with urllib.request.urlopen(address) as answer:
        assert answer.status == 200


def test_a_picture_that_is_none_is_refused(client, tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(b"not a picture")
    with pytest.raises(AppError, match="not a picture"):
        client.predict(handle_file(path), "", REGIONS, None, None, api_name="/inpaint")
    with pytest.raises(AppError, match="no photo"):
        client.predict(None, "", REGIONS, None, None, api_name="/inpaint")


def test_only_the_named_endpoints_are_public(client):
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(named) == {"/generate", "/inpaint", "/keypoints", "/maps"}
    assert [p["label"] for p in named["/generate"]["parameters"]] == [
        "prompt",
        "regions",
        "options",
        "style",
    ]


def test_files_outside_the_uploads_cannot_be_named(address):
    body = {
        "data": [
            {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}},
            "",
            [],
            {},
            None,
            None,
        ]
    }
    request = urllib.request.Request(
        f"{address}gradio_api/call/inpaint",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        event = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{address}gradio_api/call/inpaint/{event}") as answer:
        text = answer.read().decode()
    assert "event: error" in text
    assert "root:" not in text
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(f"{address}gradio_api/file=/etc/passwd")
    assert refusal.value.code == 403


def test_a_marked_path_outside_the_uploads_is_refused(address):
    file = {"path": "/etc/hostname", "meta": {"_type": "gradio.FileData"}}
    body = {"data": ["", [{**REGIONS[0], "image": file}], {}, None]}
    request = urllib.request.Request(
        f"{address}gradio_api/call/generate",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        event = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{address}gradio_api/call/generate/{event}") as answer:
        text = answer.read().decode()
    # Refused before anything is opened, so that nothing is said about the file.
    assert "event: error" in text
    assert "hostname" not in text


def test_headers_limit_what_the_page_may_do(address):
    with urllib.request.urlopen(address) as answer:
        headers = answer.headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "SAMEORIGIN"
    assert "default-src 'self'" in headers["Content-Security-Policy"]


def test_a_kind_that_is_not_loaded_is_said(tmp_path):
    with served(FakeService(kinds=(GENERATION,))) as address:
        client = Client(address, verbose=False, download_files=str(tmp_path))
        with pytest.raises(AppError, match=FLAGS[INPAINTING]):
            client.predict(None, "", REGIONS, None, None, api_name="/inpaint")
        client.close()


def test_options_of_a_call_are_those_of_the_page():
    options = read_options("a sun", {"seed": 3, "negative_prompt": "moon"})
    assert (options.prompt, options.seed, options.negative_prompt) == ("a sun", 3, "moon")
    assert {"prompt", *OPTION_TYPES} == {field.name for field in fields(Options)}
