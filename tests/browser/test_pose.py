"""Placing people by mouse, touch and keyboard, on a service without a model."""

import json

import pytest
from playwright.sync_api import Page, expect

from demo.components.pose import standing_figure
from demo.service import GENERATION, KEYPOINT
from gligen.kinds import KINDS
from gligen.person import JOINTS
from tests.browser.drawing import drag
from tests.browser.fingers import PHONE
from tests.demo.fake_service import FakeService
from tests.demo.serving import served

pytestmark = pytest.mark.slow

CANVAS = "#keypoints-canvas"
NOSE, WRIST = JOINTS.index("nose"), JOINTS.index("left wrist")


@pytest.fixture(scope="module")
def service():
    return FakeService(KINDS, step_seconds=0.01)


def open_tab(page: Page) -> Page:
    page.get_by_role("tab", name="Keypoints").click()
    page.wait_for_selector(f"{CANVAS} .stage")
    return page


@pytest.fixture
def page(address, open_page):
    return open_tab(open_page(address))


def joint(page: Page, index: int, person: int = 1) -> tuple[float, float]:
    """Return where a joint is drawn, in fractions of the canvas."""
    dot = f"{CANVAS} .joint[data-person='{person}'][data-joint='{index}']"
    style = page.locator(dot).evaluate("dot => [dot.style.left, dot.style.top]")
    return float(style[0][:-1]) / 100, float(style[1][:-1]) / 100


def persons_made(page: Page, service) -> tuple:
    page.locator("#keypoints-start").click()
    expect(page.locator("#keypoints-start")).to_be_disabled()
    expect(page.locator("#keypoints-start")).to_be_enabled()
    page.wait_for_selector("#keypoints-results figure")
    kind, request = service.requests[-1]
    assert kind == KEYPOINT
    return request.layout.persons


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def test_a_person_is_placed_bent_moved_and_painted(page, service):
    page.get_by_role("button", name="Add person").click()
    expect(page.locator(f"{CANVAS} .joint")).to_have_count(17)
    wrist, nose = joint(page, WRIST), joint(page, NOSE)
    drag(page, CANVAS, wrist, (0.9, 0.2))
    assert joint(page, WRIST) == pytest.approx((0.9, 0.2), abs=0.01)
    assert joint(page, NOSE) == pytest.approx(nose)
    drag(page, CANVAS, (0.5, 0.45), (0.4, 0.5))
    assert joint(page, WRIST) == pytest.approx((0.8, 0.25), abs=0.01)
    assert joint(page, NOSE) == pytest.approx((nose[0] - 0.1, nose[1] + 0.05), abs=0.01)
    page.get_by_label("Prompt", exact=True).locator("visible=true").fill("a dancer")
    (person,) = persons_made(page, service)
    assert person.keypoints[WRIST] == pytest.approx((0.8, 0.25), abs=0.01)
    assert service.requests[-1][1].gate_schedule == 0.3
    # The joints lie over the result and can be taken away.
    lines = page.locator("#keypoints-results .skeleton line")
    expect(lines).to_have_count(16)
    page.get_by_label("Show the people's joints").uncheck()
    expect(lines.first).to_be_hidden()


def test_a_person_is_drawn_where_one_drags_and_scaled_at_a_corner(page):
    drag(page, CANVAS, (0.1, 0.1), (0.4, 0.5))
    xs, ys = zip(*(joint(page, i) for i in range(17)), strict=True)
    assert 0.1 <= min(xs) < max(xs) <= 0.4
    assert (min(ys), max(ys)) == pytest.approx((0.1, 0.5), abs=0.01)
    # The shape of the figure is kept, however wide the area was.
    figure_xs, figure_ys = zip(*standing_figure(), strict=True)
    shape = (max(figure_xs) - min(figure_xs)) / (max(figure_ys) - min(figure_ys))
    assert (max(xs) - min(xs)) / (max(ys) - min(ys)) == pytest.approx(shape, rel=0.03)
    stage = page.locator(f"{CANVAS} .stage").bounding_box()
    grip = page.locator(f"{CANVAS} .grip.se").bounding_box()
    start = [
        (grip[axis] + grip[side] / 2 - stage[axis]) / stage[length]
        for axis, side, length in (("x", "width", "width"), ("y", "height", "height"))
    ]
    drag(page, CANVAS, start, (start[0] + 0.2, start[1] + 0.4))
    ys = [joint(page, i)[1] for i in range(17)]
    assert min(ys) == pytest.approx(0.1, abs=0.02)
    assert max(ys) == pytest.approx(0.9, abs=0.06)


def test_joints_are_hidden_by_double_click_by_checkbox_and_by_key(page, service):
    page.get_by_role("button", name="Add person").click()
    stage = page.locator(f"{CANVAS} .stage").bounding_box()
    x, y = joint(page, WRIST)
    page.mouse.dblclick(stage["x"] + x * stage["width"], stage["y"] + y * stage["height"])
    expect(page.locator(f"{CANVAS} .hint")).to_contain_text("left wrist is hidden")
    expect(page.get_by_label("left wrist", exact=True)).not_to_be_checked()
    page.get_by_label("right knee", exact=True).uncheck()
    page.locator(f"{CANVAS} .stage").focus()
    press(page, "Escape", ".", "h")
    expect(page.locator(f"{CANVAS} .hint")).to_contain_text("nose is hidden")
    expect(page.locator(f"{CANVAS} .count-seen")).to_have_text("14 of 17 joints")
    (person,) = persons_made(page, service)
    hidden = [JOINTS[i] for i, point in enumerate(person.keypoints) if point is None]
    assert hidden == ["nose", "left wrist", "right knee"]
    page.mouse.dblclick(stage["x"] + x * stage["width"], stage["y"] + y * stage["height"])
    expect(page.get_by_label("left wrist", exact=True)).to_be_checked()


def test_the_last_joint_stays(page):
    page.get_by_role("button", name="Add person").click()
    for name in JOINTS[:-1]:
        page.get_by_label(name, exact=True).uncheck()
    page.get_by_label(JOINTS[-1], exact=True).click()
    expect(page.locator(f"{CANVAS} .hint")).to_contain_text("last joint")
    expect(page.get_by_label(JOINTS[-1], exact=True)).to_be_checked()


def test_the_keyboard_does_everything(page, service):
    page.get_by_role("button", name="Add person").focus()
    press(page, "Enter")
    expect(page.locator(f"{CANVAS} .stage")).to_be_focused()
    start = joint(page, NOSE)
    press(page, "ArrowLeft", "Shift+ArrowDown")
    assert joint(page, NOSE) == pytest.approx((start[0] - 0.01, start[1] + 0.05), abs=1e-6)
    wrist = joint(page, WRIST)
    press(page, *["."] * (WRIST + 1), "ArrowUp")
    assert joint(page, WRIST) == pytest.approx((wrist[0], wrist[1] - 0.01), abs=1e-6)
    assert joint(page, NOSE) == pytest.approx((start[0] - 0.01, start[1] + 0.05), abs=1e-6)
    press(page, "Escape", "-", "-", "Control+d")
    expect(page.locator(f"{CANVAS} .row")).to_have_count(2)
    press(page, "m", "n", "Delete")
    expect(page.locator(f"{CANVAS} .row")).to_have_count(1)
    press(page, "Control+z", "Control+z", "Control+z")
    expect(page.locator(f"{CANVAS} .row")).to_have_count(1)
    press(page, "Control+y")
    assert len(persons_made(page, service)) == 2


def test_nobody_leaves_the_picture(page):
    page.get_by_role("button", name="Add person").click()
    before = [joint(page, i) for i in range(17)]
    press(page, *["Shift+ArrowLeft"] * 12)
    after = [joint(page, i) for i in range(17)]
    assert min(x for x, _ in after) == pytest.approx(0, abs=1e-6)
    shifts = {round(x0 - x1, 4) for (x0, _), (x1, _) in zip(before, after, strict=True)}
    assert len(shifts) == 1
    press(page, *["+"] * 12)
    points = [joint(page, i) for i in range(17)]
    assert all(-1e-6 <= value <= 1 + 1e-6 for point in points for value in point)
    press(page, *["-"] * 60)
    xs, ys = zip(*(joint(page, i) for i in range(17)), strict=True)
    assert max(max(xs) - min(xs), max(ys) - min(ys)) == pytest.approx(0.05, abs=1e-3)


def test_a_person_seen_from_behind_has_its_sides_exchanged(page):
    page.get_by_role("button", name="Add person").click()
    drag(page, CANVAS, joint(page, WRIST), (0.8, 0.2))
    raised = joint(page, WRIST)
    xs = [joint(page, i)[0] for i in range(17)]
    page.get_by_label("Mirror person 1").click()
    assert joint(page, WRIST + 1) == pytest.approx((min(xs) + max(xs) - raised[0], raised[1]))


def test_the_ninth_person_is_refused(page, service):
    add = page.get_by_role("button", name="Add person")
    for _ in range(9):
        add.click()
    expect(page.locator(f"{CANVAS} .row")).to_have_count(8)
    expect(page.locator(f"{CANVAS} .hint")).to_contain_text("already 8 people")
    assert len(persons_made(page, service)) == 8
    page.get_by_label("Copy person 1", exact=True).click()
    expect(page.locator(f"{CANVAS} .row")).to_have_count(8)


def test_people_come_from_a_file(page, service, tmp_path):
    points = [[0.5 + x / 2, y] for x, y in standing_figure()]
    points[WRIST] = None
    (tmp_path / "pose.json").write_text(json.dumps({"persons": [points]}))
    (tmp_path / "broken.json").write_text('{"people": 3}')
    load = page.locator("input[type=file][accept='.json']")
    load.set_input_files(tmp_path / "broken.json")
    expect(page.locator("#keypoints-notice [role=alert]")).to_contain_text("not a list of objects")
    load.set_input_files(tmp_path / "pose.json")
    expect(page.locator(f"{CANVAS} .count-seen")).to_have_text("16 of 17 joints")
    expect(page.locator("#keypoints-notice [role=alert]")).to_have_count(0)
    (person,) = persons_made(page, service)
    assert person.keypoints[WRIST] is None
    assert person.keypoints[NOSE] == pytest.approx(points[NOSE])


def test_people_are_saved_as_coco_and_come_back(page, service, tmp_path):
    save = page.get_by_role("button", name="Save people")
    save.click()
    expect(page.locator(f"{CANVAS} .hint")).to_contain_text("nobody to save")
    page.locator("#keypoints-example-1").click()
    expect(page.locator(f"{CANVAS} .row")).to_have_count(2)
    page.get_by_role("button", name="Person 1", exact=True).click()
    page.get_by_label("right knee", exact=True).uncheck()
    before = persons_made(page, service)
    with page.expect_download() as download:
        save.click()
    assert download.value.suggested_filename == "people.json"
    download.value.save_as(tmp_path / "people.json")
    value = json.loads((tmp_path / "people.json").read_text())
    assert [entry["num_keypoints"] for entry in value["annotations"]] == [16, 17]
    assert value["categories"][0]["keypoints"][WRIST] == "left_wrist"
    page.locator(f"{CANVAS} button", has_text="Clear").click()
    page.locator("input[type=file][accept='.json']").set_input_files(tmp_path / "people.json")
    expect(page.locator(f"{CANVAS} .row")).to_have_count(2)
    after = persons_made(page, service)
    for one, other in zip(before, after, strict=True):
        for point, again in zip(one.keypoints, other.keypoints, strict=True):
            assert (point is None) == (again is None)
            assert point is None or again == pytest.approx(point, abs=1e-4)
    assert after[0].keypoints[JOINTS.index("right knee")] is None


def test_a_finger_need_not_hit_a_joint_exactly(address, open_page):
    page = open_tab(open_page(address, **PHONE))
    page.get_by_role("button", name="Add person").tap()
    stage = page.locator(f"{CANVAS} .stage")
    stage.scroll_into_view_if_needed()
    area = stage.bounding_box()
    session = page.context.new_cdp_session(page)
    x, y = joint(page, WRIST)
    # 21 pixels to the right of the joint, where no other one is near: 44 pixels wide in all.
    left = area["x"] + x * area["width"] + 21
    top = area["y"] + y * area["height"]
    for kind, at in (("touchStart", 0), ("touchMove", 20), ("touchMove", 40), ("touchEnd", None)):
        points = [] if at is None else [{"x": left + at, "y": top}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert joint(page, WRIST)[0] == pytest.approx(x + 61 / area["width"], abs=0.02)


def test_fingers_bend_move_and_hide(address, open_page, service):
    page = open_tab(open_page(address, **PHONE))
    page.get_by_role("button", name="Add person").tap()
    stage = page.locator(f"{CANVAS} .stage")
    stage.scroll_into_view_if_needed()
    area = stage.bounding_box()
    session = page.context.new_cdp_session(page)

    def touch(kind, *place):
        points = [
            {"x": area["x"] + x * area["width"], "y": area["y"] + y * area["height"]}
            for x, y in place
        ]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    wrist = joint(page, WRIST)
    # A finger near the joint is enough.
    touch("touchStart", (wrist[0] + 0.02, wrist[1] + 0.02))
    touch("touchMove", (0.8, 0.4))
    touch("touchMove", (0.9, 0.3))
    touch("touchEnd")
    assert joint(page, WRIST) == pytest.approx((0.9, 0.3), abs=0.02)
    # Holding still hides it.
    touch("touchStart", (0.9, 0.3))
    expect(page.locator(f"{CANVAS} .hint")).to_contain_text("left wrist is hidden")
    touch("touchEnd")
    nose = joint(page, NOSE)
    touch("touchStart", (0.5, 0.45))
    touch("touchMove", (0.45, 0.45))
    touch("touchMove", (0.4, 0.45))
    touch("touchEnd")
    assert joint(page, NOSE) == pytest.approx((nose[0] - 0.1, nose[1]), abs=0.02)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for name in ("Delete person 1", "Make larger: person 1"):
        assert page.get_by_label(name).bounding_box()["height"] >= 44
    (person,) = persons_made(page, service)
    assert person.keypoints[WRIST] is None


def test_without_the_model_for_people_its_flag_is_named(open_page):
    with served(FakeService((GENERATION,))) as address:
        page = open_page(address)
        page.get_by_role("tab", name="Keypoints").click()
        expect(page.get_by_text("Placing people is not loaded")).to_be_visible()
        expect(page.locator(".block.absent:visible")).to_contain_text("--load-keypoint True")
