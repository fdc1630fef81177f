"""200 hostile strings wherever a stranger can put one: none runs, none breaks the page."""

import base64
import json
import re
import urllib.parse
from io import BytesIO

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import Page, expect

from demo.links import FRAGMENT, MAX_LINK_CHARACTERS, PLAIN
from demo.service import GENERATION, INPAINTING, KEYPOINT
from demo.words import MAX_PROMPT_LENGTH, check_words
from gligen.pictures.metadata import READABLE_KEY, SETTINGS_KEY, read_settings
from tests.browser.drawing import drag
from tests.browser.waiting import until
from tests.demo.fake_service import FakeService
from tests.demo.site import Site
from tests.hostile import BROKEN, hostile_strings

pytestmark = pytest.mark.slow

STRINGS = hostile_strings()
TEXTS = [text for text in STRINGS if text not in BROKEN]
NUM_BOXES = 30
WITHOUT = re.compile(r"[\r\n\u2028\u2029]")  # a field of one line drops these


@pytest.fixture(scope="module")
def service():
    return FakeService((GENERATION, INPAINTING, KEYPOINT))


@pytest.fixture
def guarded(address, open_page):
    """A page on which nothing may run, ask, go elsewhere or fetch from elsewhere."""
    page = open_page(address)
    faults = []
    page.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
    page.on("popup", lambda popup: faults.append(popup.url))
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((address, "data:", "blob:"))
            else faults.append(request.url)
        ),
    )
    yield page
    check_nothing_ran(page)
    assert page.url.rstrip("/") == address.rstrip("/")
    assert not faults


def one_line(label: str) -> str:
    """Return a label as a layout keeps it: one blank wherever there were any."""
    return " ".join(label.split())


def check_nothing_ran(page: Page) -> None:
    assert page.evaluate("() => typeof window.__hostile") == "undefined"
    assert page.evaluate(
        "() => ({}).hostile === undefined && Object.keys(Object.prototype).length === 0"
    )


def generate(page: Page, prompt: str) -> None:
    """Make a picture; the prompt is unlike the one before, so that the old result is not read."""
    page.get_by_label("Prompt", exact=True).locator("visible=true").fill(prompt)
    page.locator("#generate-start").click()
    start = " ".join(prompt.split()[:2])
    expect(page.locator("#generate-results .facts")).to_contain_text(f"Prompt used: {start}")
    expect(page.locator("#generate-start")).to_be_enabled()


def test_as_labels_and_prompts_they_are_shown_as_text(guarded):
    page = guarded
    for index in range(NUM_BOXES):
        x, y = index % 6 / 6, index // 6 / 6
        drag(page, "#generate-canvas", (x + 0.02, y + 0.02), (x + 0.12, y + 0.12))
    box = page.get_by_label("number input for Steps").locator("visible=true")
    box.fill("1")
    box.press("Tab")
    names = page.get_by_label(re.compile(r"^Name of box \d+$")).locator("visible=true")
    expect(names).to_have_count(NUM_BOXES)
    for number, start in enumerate(range(0, len(TEXTS), NUM_BOXES)):
        labels = [WITHOUT.sub("", text) for text in TEXTS[start : start + NUM_BOXES]]
        # Nothing but blanks is no name: refused with a sentence, as the test of the API shows.
        labels = [label if label.strip() else f"blank{label}." for label in labels]
        for box, label in enumerate(labels, start=1):
            page.get_by_label(f"Name of box {box}", exact=True).fill(label)
        prompt = f"round {number} " + " ".join(labels)[:1900]
        generate(page, prompt)
        frames = page.locator("#generate-results .frame span").all_text_contents()
        assert [frame.split(" ", 1)[-1] for frame in frames[: len(labels)]] == [
            one_line(label) for label in labels
        ]
        facts = page.locator("#generate-results .facts").text_content()
        assert f"Prompt used: {prompt.strip()}" in facts
        # Text made no elements.
        shown = "#generate-results, #generate-notice, #generate-canvas"
        assert (
            page.locator(shown).locator("script, iframe, object, a[href^='javascript']").count()
            == 0
        )
        check_nothing_ran(page)


@pytest.mark.parametrize("place", ["label", "prompt", "negative"])
def test_what_is_no_text_gets_a_sentence_and_the_page_goes_on(guarded, service, place):
    page = guarded
    drag(page, "#generate-canvas", (0.1, 0.1), (0.6, 0.6))
    page.get_by_text("Advanced", exact=True).locator("visible=true").first.click()
    fields = {
        "label": page.get_by_label("Name of box 1", exact=True),
        "prompt": page.get_by_label("Prompt", exact=True).locator("visible=true"),
        "negative": page.get_by_label("Negative prompt", exact=True).locator("visible=true"),
    }
    fields["label"].fill("a sun")
    fields["prompt"].fill("a sun")
    notice = page.locator("#generate-notice .message")
    for text in BROKEN:
        # As a program would: a person's field would cut or drop most of it.
        fields[place].evaluate(
            """(field, text) => {
              field.removeAttribute("maxlength");
              const kind = Object.getPrototypeOf(field);
              Object.getOwnPropertyDescriptor(kind, "value").set.call(field, text);
              field.dispatchEvent(new Event("input", {bubbles: true}));
              field.dispatchEvent(new Event("change", {bubbles: true}));
            }""",
            text,
        )
        before = len(service.requests)
        notice.evaluate("element => element.textContent = ''")
        page.locator("#generate-start").click()
        until(lambda before=before: len(service.requests) > before or is_refused(page))
        expect(page.locator("#generate-start")).to_be_enabled()
        if len(service.requests) > before:  # the browser itself has made it text
            request = service.requests[-1][1]
            words = [request.prompt, request.negative_prompt, *request.layout.phrases]
            for word in words:
                check_words(word, "It", MAX_PROMPT_LENGTH)
        check_nothing_ran(page)
    fields[place].fill("a moon")
    generate(page, "a moon again")
    expect(page.locator("#generate-results figure")).to_have_count(1)


def is_refused(page: Page) -> bool:
    said = page.locator("#generate-notice .message").text_content() or ""
    return re.search(r"the limit is|no text", said) is not None


def picture(**texts: str) -> bytes:
    info = PngInfo()
    for key, text in texts.items():
        info.add_itxt(key, text)
    buffer = BytesIO()
    Image.new("RGB", (32, 32), "teal").save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def test_as_names_and_metadata_of_files_they_do_nothing(guarded):
    page = guarded
    page.get_by_role("tab", name="Inpaint").click()
    field = page.locator("#inpaint-canvas [data-name=photo_input]")
    hint = page.locator("#inpaint-canvas .hint")
    for index, text in enumerate(TEXTS[::8]):
        settings = json.dumps(
            {"prompt": text, "regions": [{"phrase": text, "box": text}], text: text}
        )
        content = picture(**{SETTINGS_KEY: settings, READABLE_KEY: text, "Comment": text})
        is_picture = index % 3 != 2
        name = f"{text}.png"
        field.set_input_files(
            {"name": name, "mimeType": "image/png", "buffer": content if is_picture else b"none"}
        )
        if is_picture:
            expect(hint).to_contain_text("32 x 32")
        check_nothing_ran(page)
    assert page.locator("#inpaint-canvas").locator("script, iframe, object").count() == 0


def test_as_files_of_people_they_get_a_sentence(guarded, tmp_path):
    page = guarded
    page.get_by_role("tab", name="Keypoints").click()
    field = page.locator("input[type=file][accept='.json']")
    for index, text in enumerate(TEXTS[::20]):
        content = [text, {text: text}, {"people": text}, [[text] * 17]][index % 4]
        data = json.dumps(content).encode() if index % 5 else text.encode()
        field.set_input_files(
            {"name": f"{text}.json", "mimeType": "application/json", "buffer": data}
        )
        check_nothing_ran(page)


def test_names_of_all_uploads_stay_inside_their_folder(address):
    site = Site(address)
    for text in STRINGS:
        name = text.replace('"', "%22").replace("\r", " ").replace("\n", " ")
        name = name.encode("utf-8", "replace").decode("latin-1")
        answer = site.upload(name, b"x")
        assert answer.status in (200, 400, 413, 422, 500), text[:50]
        if answer.status != 200:
            continue
        (path,) = json.loads(answer.body)
        parts = path.split("/")
        assert ".." not in parts
        assert re.fullmatch(r"[0-9a-f]{64}", parts[-2]), path
        got = site.ask("GET", f"/gradio_api/file={urllib.parse.quote(path)}")
        assert got.status == 200
        assert got.headers["x-content-type-options"] == "nosniff"
        assert got.headers["content-disposition"].startswith("attachment") or got.headers[
            "content-type"
        ].startswith(("image/", "audio/", "video/"))
    assert site.ask("GET", "/healthz").status == 200


@pytest.mark.slow  # minutes
@pytest.mark.parametrize("place", ["label", "prompt", "key", "box", "picture"])
def test_through_the_api_each_is_drawn_or_refused_with_a_sentence(address, place, tmp_path):
    site = Site(address)
    for text in STRINGS:
        region = {"phrase": "a sun", "box": [0, 0, 0.5, 0.5]}
        prompt = text if place == "prompt" else "a sun"
        match place:
            case "label":
                region["phrase"] = text
            case "key":
                region[text] = text
            case "box":
                region["box"] = [text, 0, 1, 1]
            case "picture":
                region["image"] = text
        options = {"num_inference_steps": 1, "seed": 3}
        event, said = site.call("generate", prompt, [region], options, None)
        if event == "error":
            assert re.search(r"[a-z].*\.$", said["error"], re.DOTALL), said
            assert len(said["error"]) < 25_000
            continue
        assert place != "box"
        assert text not in BROKEN or place == "key"
        if place in ("label", "prompt"):
            (file,), _ = said
            answer = site.ask("GET", urllib.parse.urlsplit(file["url"]).path)
            kept = tmp_path / "got.png"
            kept.write_bytes(answer.body)
            settings = read_settings(kept)
            found = settings["prompt"] if place == "prompt" else settings["regions"][0]["phrase"]
            assert found == (text.strip() or "a sun" if place == "prompt" else one_line(text))
    assert site.ask("GET", "/healthz").status == 200


def settings_with(text: str, number: int) -> tuple[dict, bool]:
    """Return a layout's document that holds a text somewhere, and whether it may be there."""
    region = {"phrase": "a sun", "box": [0.1, 0.1, 0.6, 0.6]}
    document = {"gligen": 1, "prompt": "a night", "regions": [region]}
    match number % 5:
        case 0:
            region["phrase"] = text
        case 1:
            document["prompt"] = text
        case 2:
            document[text] = text
        case 3:
            region["box"] = [text, 0, 1, 1]
        case _:
            document["sampler"] = text
    return document, number % 5 < 3


@pytest.mark.slow  # minutes
@pytest.mark.parametrize("form", ["layout", "picture", "link"])
def test_in_layouts_pictures_and_links_they_fill_the_page_or_get_a_sentence(guarded, form):
    page = guarded
    page.wait_for_selector("html[data-gligen=ready]")
    page.locator("#generate-keeper summary").click()
    field = page.locator("#generate-keeper input[type=file]")
    told = page.locator("#generate-keeper .said, #generate-notice .message")
    prompt = page.get_by_label("Prompt", exact=True).locator("visible=true")
    label = page.get_by_label("Name of box 1", exact=True)
    for number, text in enumerate(STRINGS):
        document, is_legal = settings_with(text, number)
        data = json.dumps(document)
        with page.expect_response(lambda answer: answer.url.endswith("/run/predict")) as answer:
            match form:
                case "layout":
                    file = {"name": "layout.json", "mimeType": "application/json"}
                    field.set_input_files({**file, "buffer": data.encode()})
                case "picture":
                    file = {"name": "picture.png", "mimeType": "image/png"}
                    content = picture(**{SETTINGS_KEY: data})
                    field.set_input_files({**file, "buffer": content})
                case _:
                    packed = PLAIN + base64.urlsafe_b64encode(data.encode()).decode().rstrip("=")
                    page.evaluate("link => { location.hash = link; }", FRAGMENT + packed)
        sentences = [said for said in messages_of(answer.value.json()) if said]
        assert sentences
        assert all(re.search(r"[a-z].*\.", said, re.DOTALL) for said in sentences)
        expect(told.filter(has_text=re.compile(r"[a-z].*\.", re.DOTALL)).first).to_be_visible()
        if is_legal and text not in BROKEN and len(data) < MAX_LINK_CHARACTERS // 2:
            if number % 5 == 0 and text.strip():
                expect(label).to_have_value(one_line(text))
            elif number % 5 == 1:
                expect(prompt).to_have_value(re.sub(r"\r\n?", "\n", text))
        check_nothing_ran(page)
    shown = page.locator("#generate-keeper, #generate-notice, #generate-canvas")
    assert shown.locator("script, iframe, object, a[href^='javascript']").count() == 0


def messages_of(answer) -> list[str]:
    """Return the sentences that an answer of the server sets on the page."""
    if isinstance(answer, list):
        return [said for part in answer for said in messages_of(part)]
    if not isinstance(answer, dict):
        return []
    found = [answer["message"]] if isinstance(answer.get("message"), str) else []
    return found + messages_of(list(answer.values()))
