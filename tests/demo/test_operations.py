"""The served page over raw HTTP, as an operator and as an attacker see it."""

import json
import threading
import urllib.parse
import zlib
from contextlib import contextmanager

import pytest
from PIL import Image

from demo.app import MAX_FILE_SIZE, Serving, launch_options
from demo.desk import Desk
from demo.line import Line
from demo.rate import RateLimit
from demo.service import ModelCard
from gligen import __version__
from tests.demo.fake_service import FakeService
from tests.demo.serving import served
from tests.demo.site import Site

LIMIT = 4  # requests a minute, in the tests about it


@pytest.fixture(scope="module")
def site():
    with served(FakeService()) as address:
        yield Site(address)


# ---------------------------------------------------------------- for the operator


def test_health_is_told_in_plain_json(site):
    answer = site.ask("GET", "/healthz")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert json.loads(answer.body) == {
        "status": "ok",
        "model": "fake",
        "device": "cpu",
        "running": 0,
        "queue": 0,
        "max_queue": 16,
        "version": __version__,
    }
    assert site.ask("HEAD", "/healthz").body == b""
    assert site.ask("POST", "/healthz", "x").status == 405


def test_health_says_what_runs_waits_and_ends():
    service, desk = FakeService(), Desk(Line(max_waiting=5))
    service.card = ModelCard("/home/me/models/own.safetensors on a/base", "", "cuda:1")
    with served(service, desk=desk) as address:
        site = Site(address)
        running, _ = desk.line.enter("a", True), desk.line.enter("b", True)
        desk.line.wait(running, 0)
        told = json.loads(site.ask("GET", "/healthz").body)
        assert told["model"] == "own.safetensors on base"
        assert (told["running"], told["queue"], told["max_queue"]) == (1, 1, 5)
        desk.line.close()
        answer = site.ask("GET", "/healthz")
        assert (answer.status, json.loads(answer.body)["status"]) == (503, "stopping")


def test_a_login_guards_all_but_health():
    serving = Serving(auth=(("anna", "secret"), ("ben", "word")))
    with served(FakeService(), serving) as address:
        site = Site(address)
        assert site.ask("GET", "/healthz").status == 200
        assert site.ask("GET", "/config").status == 401
        for path in ("/gradio_api/info", "/gradio_api/file=/tmp/x", "/gradio_api/queue/status"):
            assert site.ask("GET", path).status == 401, path
        assert site.upload("a.png", b"x").status == 401
        form = {"Content_Type": "application/x-www-form-urlencoded"}
        wrong = site.ask("POST", "/login", "username=anna&password=word", **form)
        assert wrong.status == 400
        for pair in ("username=anna&password=secret", "username=ben&password=word"):
            answer = site.ask("POST", "/login", pair, **form)
            assert answer.status == 200
            cookie = answer.headers["set-cookie"]
            assert "httponly" in cookie.lower()
            assert site.ask("GET", "/config", Cookie=cookie.split(";")[0]).status == 200


def test_only_so_many_calls_a_minute():
    with served(FakeService(), desk=Desk(rate=RateLimit(LIMIT))) as address:
        site = Site(address)
        for _ in range(LIMIT):
            assert site.call("generate", "a sun", [], {"num_inference_steps": 1}, None)[0] == (
                "complete"
            )
        event, said = site.call("generate", "a sun", [], None, None)
        assert event == "error"
        assert f"asked for {LIMIT} in the last minute" in said["error"]
        assert "Try again in" in said["error"]


@contextmanager
def busy(desk: Desk):
    """Hold the device."""
    place = desk.line.enter("somebody", replaces=True)
    assert desk.line.wait(place, 0) is None
    try:
        yield
    finally:
        desk.line.leave(place)


def test_a_full_line_gets_a_sentence_and_the_one_that_waits_its_picture():
    desk = Desk(Line(max_waiting=1))
    with served(FakeService(), desk=desk) as address:
        site, first = Site(address), []
        with busy(desk):
            thread = threading.Thread(
                target=lambda: first.append(site.call("generate", "a sun", [], None, None))
            )
            thread.start()
            while not desk.line.num_waiting:
                pass
            event, said = site.call("generate", "a moon", [], None, None)
            assert event == "error"
            assert "the line for the model is full (1 waiting)" in said["error"]
        thread.join(300)
        assert first[0][0] == "complete"


def test_gradio_s_own_queue_answers_503_to_a_flood(monkeypatch):
    monkeypatch.setattr("demo.app.MORE_AT_ONCE", -1)
    with served(FakeService(), desk=Desk(Line(max_waiting=1))) as address:
        answer = Site(address).ask(
            "POST",
            "/gradio_api/call/generate",
            json.dumps({"data": ["a sun", [], None, None]}),
            Content_Type="application/json",
        )
    assert answer.status == 503


def test_files_are_gone_when_the_app_has_ended(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    with served(FakeService()) as address:
        site = Site(address)
        assert site.upload("photo.png", b"not a picture").status == 200
        event, (files, _) = site.call("generate", "a sun", [], None, None)
        assert event == "complete"
        kept = {path.name for path in tmp_path.rglob("*") if path.is_file()}
        assert {"photo.png", files[0]["orig_name"]} <= kept
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_pictures_are_kept_where_the_operator_says(tmp_path):
    with served(FakeService(), folder=tmp_path / "kept") as address:
        Site(address).call("generate", "../../a sun/x", [], None, None)
    files = list((tmp_path / "kept").iterdir())
    assert len(files) >= 1
    assert all(file.name.startswith("gligen-") for file in files)


# ---------------------------------------------------------------- against attackers


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=../../../../../../etc/passwd",
        "/gradio_api/file=%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/gradio_api/file=app.py",
        "/gradio_api/file=demo/app.py",
        "/gradio_api/file=/proc/self/environ",
        "/gradio_api/file=http://127.0.0.1/healthz",
        "/gradio_api/file=file:///etc/passwd",
        "/static/../../../../../../../etc/passwd",
        "/static/..%2f..%2f..%2f..%2f..%2fetc/passwd",
        "/assets/..%2f..%2f..%2f..%2f..%2f..%2f..%2f..%2fetc/passwd",
        "/gradio_api/proxy=http://127.0.0.1:1/",
        "/monitoring",
    ],
)
def test_no_path_leads_out(site, path):
    answer = site.ask("GET", path)
    assert 400 <= answer.status < 500
    assert b"root:" not in answer.body
    assert b"import" not in answer.body
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "name", ["../../evil.png", "..%2f..%2fevil.png", "/etc/cron.d/evil", "a/../../evil", "x" * 400]
)
def test_names_of_uploads_are_made_flat(site, name, tmp_path):
    answer = site.upload(name, b"x")
    assert answer.status == 200
    (path,) = json.loads(answer.body)
    root = path.rsplit("/", 2)[0]
    assert "/gradio" in root
    assert ".." not in path.split("/")


@pytest.mark.parametrize(
    ("name", "kind", "content"),
    [
        ("a.html", "text/html", b"<script>alert(1)</script>"),
        ("a.svg", "image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"),
        ("a.xhtml", "application/xhtml+xml", b"<html/>"),
        ("a.xml", "text/xml", b"<a/>"),
        ("a.js", "text/javascript", b"alert(1)"),
        ("a", "text/html", b"<script>alert(1)</script>"),
    ],
)
def test_uploads_that_could_run_come_back_as_attachments(site, name, kind, content):
    (path,) = json.loads(site.upload(name, content, kind).body)
    answer = site.ask("GET", f"/gradio_api/file={urllib.parse.quote(path)}")
    assert answer.status == 200
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_picture_that_is_a_page_inside_is_served_as_a_picture(site):
    (path,) = json.loads(site.upload("a.png", b"<script>alert(1)</script>", "text/html").body)
    answer = site.ask("GET", f"/gradio_api/file={urllib.parse.quote(path)}")
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_an_upload_that_is_too_large_is_refused(site):
    assert MAX_FILE_SIZE == "20mb"
    assert site.upload("big.png", bytes(21 * 1024 * 1024)).status == 413


def bomb(width: int, height: int) -> bytes:
    """Return a PNG of a few bytes that says it has so many pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        check = zlib.crc32(name + content)
        return len(content).to_bytes(4, "big") + name + content + check.to_bytes(4, "big")

    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    header = chunk(b"IHDR", size + b"\x08\x02\x00\x00\x00")
    data = chunk(b"IDAT", zlib.compress(bytes(100_000)))
    return b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(8000, 8000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_decompression_bombs_are_refused_by_their_headers(site, size, monkeypatch):
    def never(*_):
        pytest.fail("The picture was decoded.")

    (path,) = json.loads(site.upload("bomb.png", bomb(*size)).body)
    monkeypatch.setattr(Image.Image, "frombytes", never)
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    box = [{"phrase": "a sun", "box": [0, 0, 1, 1]}]
    event, said = site.call("inpaint", file, "", box, None, None, None)
    assert event == "error"
    assert "pixels" in said["error"]
    event, said = site.call("inpaint", file, "", [], None, file, None)
    assert event == "error"
    assert "pixels" in said["error"]


@pytest.mark.parametrize(
    "path", ["/", "/config", "/gradio_api/file=/etc/passwd", "/no", "/healthz"]
)
def test_every_answer_has_the_headers(site, path):
    headers = site.ask("GET", path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["x-frame-options"] == "SAMEORIGIN"
    policy = dict(
        part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'self'"
    assert policy["object-src"] == "'none'"
    assert policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == "'self'"
    assert "http" not in headers["content-security-policy"]


def test_notebooks_may_show_the_page_inside_theirs():
    with served(FakeService(), Serving(can_be_embedded=True)) as address:
        headers = Site(address).ask("GET", "/").headers
    assert "x-frame-options" not in headers
    assert "frame-ancestors" not in headers["content-security-policy"]


def test_other_sites_may_not_read_answers(site):
    answer = site.ask("GET", "/config", Origin="http://evil.example")
    assert answer.headers.get("access-control-allow-origin") in (None, f"http://{site.host}")


def test_the_launch_is_hardened():
    options = launch_options(Serving())
    assert options["allowed_paths"] == []
    assert options["show_error"] is False
    assert options["enable_monitoring"] is False
    assert options["mcp_server"] is False
    assert options["ssr_mode"] is False
    assert options["strict_cors"] is True
    assert options["state_session_capacity"] == 200


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("x" * 10_000, "10000 characters; the limit is 2000"),
        ("a\x00sun", "character 2 (U+0000)"),
        ("sun \ud83d", "character 5 (U+D83D)"),
        ("a\x1b[2Jsun", "U+001B"),
    ],
)
def test_what_is_no_text_is_refused_with_a_sentence(site, prompt, words):
    box = [{"phrase": "sun", "box": [0, 0, 1, 1]}]
    event, said = site.call("generate", prompt, box, None, None)
    assert event == "error"
    assert words in said["error"]
    event, said = site.call("generate", "a sun", box, {"negative_prompt": prompt}, None)
    assert words in said["error"]
    event, said = site.call("generate", "a sun", [{**box[0], "phrase": prompt[:150]}], None, None)
    assert event == ("complete" if prompt.startswith("xxx") else "error")


@pytest.mark.parametrize(
    "prompt",
    ["\u202egnp.exe", "a\u200bb", "\U0001f469\u200d\U0001f680", "=HYPERLINK(1)", "日本の猫"],
)
def test_any_script_is_text(site, prompt):
    box = [{"phrase": prompt, "box": [0, 0, 1, 1]}]
    event, said = site.call("generate", prompt, box, None, None)
    assert event == "complete"
    assert said[1]["prompt"] == prompt
