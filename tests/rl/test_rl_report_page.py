"""The samples of an RL report in a real Chromium: columns, keys, and texts that try to be more."""

import json

import pytest
from lifelike_run import EVIL, step_record, write_run
from playwright.sync_api import expect

from speciale.rl.report import write_report

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return write_report(write_run(tmp_path_factory.mktemp("rl") / "mixed"))


@pytest.fixture
def page(chromium, report):
    """The report, 1400 pixels wide; at its end nothing may have been run, asked or gone wrong."""
    page = chromium.new_page(viewport={"width": 1400, "height": 900})
    page.set_default_timeout(15_000)
    dialogs, asked, problems = [], [], []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text))
    page.goto(report.as_uri())
    yield page
    assert page.locator("img, iframe").count() == 0
    page.close()
    assert (dialogs, problems, asked) == ([], [], [report.as_uri()])


def choose(page, task):
    page.get_by_role("button", name=task).click()
    return page.locator(".column")


def current(page):
    return page.locator(".column[aria-current]").get_attribute("aria-label")


def test_a_column_a_step_with_thinking_calls_results_and_answer(page):
    columns = choose(page, "starter/price-times#2")
    assert columns.count() == 7
    expect(page.locator(".shared")).to_have_text("PromptWhere does the boss of Ann 2 live?")
    first, last = columns.first, columns.last
    expect(first.locator("header")).to_have_text(
        "Step 0score 0reward -0.07 · 33 tokensoutcome 0 · length -0.7"
    )
    expect(first.locator(".call div")).to_have_text(['boss(name="Ann")'])
    expect(last.locator(".call div")).to_have_text(['boss(name="Ann")', 'town(name="Bob")'])
    expect(last.locator(".result div")).to_have_text(['"Bob"', '"Kyoto"'])
    expect(last.locator(".thinking").first).to_have_text("Thinkingthe boss of Ann")
    expect(first.locator(".answer.bad")).to_have_text("AnswerOslo")
    expect(last.locator(".answer.good")).to_have_text("AnswerKyoto")


def test_what_belongs_together_stands_at_one_height(page):
    columns = choose(page, "starter/lookup-chain#1").all()  # of two calls from step 30 on
    for part in ("header", ".call", ".result", ".answer"):
        tops = {column.locator(part).first.bounding_box()["y"] for column in columns}
        assert len(tops) == 1, part
    colours = {
        kind: page.locator(f".piece.{kind}").last.evaluate("e => getComputedStyle(e).borderColor")
        for kind in ("user", "thinking", "call", "result", "answer")
    }
    assert len(set(colours.values())) == 5


def test_the_arrow_keys_move_through_the_steps(page):
    choose(page, "starter/lookup-chain#1")
    page.evaluate("document.querySelector('.columns').scrollIntoView()")
    assert current(page) == "Step 0"
    before = page.evaluate("scrollY")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    assert current(page) == "Step 40"
    row, column = page.locator(".columns"), page.locator(".column[aria-current]")
    outer, inner = row.bounding_box(), column.bounding_box()
    assert outer["x"] <= inner["x"] + 1
    assert inner["x"] + inner["width"] <= outer["x"] + outer["width"] + 1
    for _ in range(9):
        page.keyboard.press("ArrowRight")
    assert current(page) == "Step 60"
    for _ in range(9):
        page.keyboard.press("ArrowLeft")
    assert current(page) == "Step 0" and page.evaluate("scrollY") == before
    page.get_by_role("button", name="30", exact=True).click()
    assert current(page) == "Step 30"


def test_the_filter_shows_the_tasks_of_a_domain(page):
    tasks = page.locator(".list button")
    assert tasks.count() == 24
    page.get_by_role("combobox", name="Domain").select_option("logic")
    expect(tasks).to_have_count(3)
    expect(page.locator(".stage h3")).to_have_text("problems/letter_counting#1 (logic)")
    assert (
        tasks.first.get_by_role("img").get_attribute("aria-label").startswith("scores: 0.5, 1, 1")
    )
    page.get_by_role("combobox").focus()
    page.keyboard.press("ArrowRight")  # belongs to the list there, not to the columns
    assert current(page) == "Step 0"
    page.get_by_role("combobox", name="Domain").select_option("")
    expect(tasks).to_have_count(24)


def test_conversations_of_any_form_are_shown_as_far_as_they_go(chromium, tmp_path):
    def made(id, arguments):
        return {"id": id, "function": {"name": "add", "arguments": arguments}}

    odd = [
        {"role": "user", "content": [{"type": "text", "text": "part 1"}, {"type": "image"}]},
        {"role": "assistant", "tool_calls": [made("a", '{"x": 1}'), made("b", "{x"), None, "call"]},
        {"role": "tool", "tool_call_id": "b", "content": "of b"},
        {"role": "tool", "tool_call_id": "a", "content": {"of": "a"}},
        {"role": "tool", "tool_call_id": "z", "content": "of none"},
        {"role": "assistant", "content": "Hm.", "tool_calls": [made("a", {"x": 2})]},
        {"role": "tool", "tool_call_id": "a", "content": "of the second a"},
        None, "text", {"content": 5}, {"role": "user", "content": "Go on."},
        {"role": "assistant", "content": None, "tool_calls": "none"},
    ]  # fmt: skip
    texts = [odd, odd[:4], [], [{"role": "tool", "content": "first of all"}]]
    samples = [
        {"step": n, "task": "t", "messages": each, "score": None} for n, each in enumerate(texts)
    ]
    lines = "".join(json.dumps(each) + "\n" for each in samples)
    (tmp_path / "samples.jsonl").write_text(lines)
    (tmp_path / "metrics.jsonl").write_text(json.dumps(step_record(1)))
    page, problems = chromium.new_page(), []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(write_report(tmp_path).as_uri())
    first = page.locator(".column").first
    shown = first.locator(".call div, .result div")
    expect(shown).to_have_text([
        "add(x=1)", '{ "of": "a" }', "add({x)", "of b", "?()", "?()", "of none",
        "add(x=2)", "of the second a",
    ])  # fmt: skip
    expect(first.locator(".user div")).to_have_text(['part 1 { "type": "image" }', "Go on."])
    expect(page.locator(".answer h5")).to_have_text(["No answer"] * 4)
    assert problems == []
    page.close()


def test_what_a_model_wrote_is_only_text(page):
    columns = choose(page, "starter/lookup-chain#3")
    answer = columns.first.locator(".answer div")
    assert answer.evaluate("e => [e.textContent, e.children.length]") == [f"{EVIL} answer", 0]
    assert "<img src=x onerror=alert(1)>" in page.locator(".shared").inner_text()


def test_the_policy_stops_a_script_that_an_escape_had_let_through(chromium, report, tmp_path):
    planted = tmp_path / "planted.html"
    evil = "<script>document.title='run'</script><img src=x onerror=\"document.title='run'\">"
    text = report.read_text("utf-8").replace("<main>", f"<main>{evil}")
    planted.write_text(text, "utf-8")
    page = chromium.new_page()
    page.goto(planted.as_uri())
    expect(page.locator(".column").first).to_be_visible()
    assert page.title() == "mixed: RL report"
    page.close()
    planted.write_text(text.replace("http-equiv", "data-off"), "utf-8")  # so the plant is real
    page = chromium.new_page()
    page.goto(planted.as_uri())
    assert page.title() == "run"
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_is_wider_than_the_screen(chromium, report, scheme):
    page = chromium.new_page(viewport={"width": 420, "height": 900}, color_scheme=scheme)
    page.goto(report.as_uri())
    expect(page.locator(".column").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 420
    assert page.locator(".column").first.bounding_box()["width"] > 330
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(23, 24, 28)")
    page.close()
