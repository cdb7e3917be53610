"""The page in Chromium: branches, history, the keyboard, phones, themes."""

import json
import threading

import pytest
from hands import answers, ask, idle
from page_server import delta, text
from playwright.sync_api import expect

pytestmark = pytest.mark.slow  # in .ci/run

# --- branches and history -------------------------------------------------------------------------


def test_regenerate_and_edit_make_versions(page, server):
    server.say(*text("Answer A"))
    server.say(*text("Answer B"))
    server.say(*text("Answer C"))
    ask(page, "Question 1")
    idle(page)
    page.get_by_role("button", name="Regenerate").click()
    expect(answers(page)).to_contain_text("Answer B")
    expect(answers(page)).to_have_count(1)
    expect(answers(page)).to_contain_text("2 / 2")
    answers(page).get_by_role("button", name="Previous version").click()
    expect(answers(page)).to_contain_text("Answer A")
    question = page.locator("article.user")
    question.hover()
    question.get_by_role("button", name="Edit").click()
    box = page.get_by_label("Edit the message")
    expect(box).to_have_value("Question 1")
    box.fill("Question 2")
    box.press("Enter")
    expect(answers(page)).to_contain_text("Answer C")
    assert [body["messages"][-1]["content"] for body in server.bodies] == [
        "Question 1",
        "Question 1",
        "Question 2",
    ]
    assert len(server.bodies[2]["messages"]) == 1
    idle(page)
    question.get_by_role("button", name="Previous version").click()
    expect(page.locator(".bubble")).to_have_text("Question 1")
    expect(answers(page)).to_contain_text("Answer B")


def test_history_survives_a_reload_and_can_be_renamed_and_deleted(page, server):
    ask(page, "Remember me")
    idle(page)
    expect(answers(page)).to_contain_text("Hello.")
    page.reload()
    expect(answers(page)).to_contain_text("Hello.")
    expect(page.locator(".bubble")).to_have_text("Remember me")
    nav = page.locator("nav")
    nav.locator("li").hover()
    nav.get_by_role("button", name="Rename Remember me").click()
    nav.get_by_label("New name").fill("Renamed")
    page.keyboard.press("Enter")
    expect(page.locator("#title")).to_have_text("Renamed")
    page.reload()
    expect(page.locator("#title")).to_have_text("Renamed")
    nav.locator("li").hover()
    nav.get_by_role("button", name="Delete Renamed").click()
    expect(nav.locator("li")).to_have_count(0)
    expect(answers(page)).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    nav.get_by_role("button", name="Renamed", exact=True).click()
    expect(answers(page)).to_contain_text("Hello.")


def test_a_half_answer_survives_a_reload(page, server):
    server.say(delta(content="Half an answer"), threading.Event())
    ask(page)
    expect(answers(page)).to_contain_text("Half an answer")
    page.reload()
    expect(answers(page)).to_contain_text("Half an answer")
    expect(answers(page)).to_contain_text("Stopped")


def test_export_and_import(page, open_page, server, tmp_path):
    server.say(*text("An answer to keep"))
    ask(page, "Keep this")
    idle(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    path = tmp_path / "conversations.json"
    download.value.save_as(path)
    other = open_page()
    other.locator("#import-file").set_input_files(path)
    other.locator("nav").get_by_role("button", name="Keep this", exact=True).click()
    expect(answers(other)).to_contain_text("An answer to keep")

    ring = {"a": {"role": "user", "parent": "b"}, "b": {"role": "user", "parent": "a"}}
    forged = {"a": {"role": "user", "content": "<img src=x onerror=alert(1)>"}}
    path.write_text(
        json.dumps({"conversations": [{"nodes": ring}, {"nodes": forged, "title": "Forged"}, 5]})
    )
    other.locator("#import-file").set_input_files(path)
    expect(other.locator(".toast")).to_have_text("1 conversation imported")
    other.locator("nav").get_by_role("button", name="Forged", exact=True).click()
    expect(other.locator(".bubble")).to_have_text("<img src=x onerror=alert(1)>")
    path.write_text("no json")
    other.locator("#import-file").set_input_files(path)
    expect(other.locator(".toast")).to_contain_text("could not be imported")


# --- hands and eyes -------------------------------------------------------------------------------


def test_keyboard(page, server):
    box = page.get_by_label("Message", exact=True)
    expect(box).to_be_focused()
    page.keyboard.type("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    server.say(delta(content="Long"), threading.Event())
    page.keyboard.press("Enter")
    expect(page.locator(".bubble")).to_have_text("one\ntwo")
    expect(answers(page)).to_contain_text("Long")
    page.keyboard.press("Escape")
    expect(answers(page)).to_contain_text("Stopped")
    box.evaluate("(element) => element.blur()")
    page.keyboard.press("/")
    expect(box).to_be_focused()
    expect(box).to_have_value("")
    page.keyboard.press("Control+Shift+O")
    expect(answers(page)).to_have_count(0)
    page.keyboard.press("Shift+Tab")
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(outline) == "solid"


def test_every_control_has_a_name(page):
    ask(page)
    idle(page)
    unnamed = """() => [...document.querySelectorAll("button, input, select, textarea")]
      .filter((e) => !(e.ariaLabel || e.textContent.trim() || e.labels?.length))
      .map((e) => e.outerHTML)"""
    assert page.evaluate(unnamed) == []
    assert page.locator("#messages").get_attribute("aria-live") == "polite"


def test_a_phone_scrolls_one_way_only(open_page, server):
    page = open_page(width=360, height=640, has_touch=True)
    wide = "| " + " | ".join(["column"] * 20) + " |\n" + "|---" * 20 + "|\n"
    server.say(*text("x" * 300 + "\n\n```\n" + "y" * 300 + "\n```\n\n" + wide + "\n$$" + "z+" * 90))
    ask(page, "w" * 300)
    idle(page)
    widths = """() => ["html", "#scroller"].map((name) => document.querySelector(name))
      .map((element) => element.scrollWidth - element.clientWidth)"""
    assert page.evaluate(widths) == [0, 0]
    expect(page.locator("nav")).to_be_hidden()
    page.get_by_role("button", name="Conversations").tap()
    expect(page.locator("nav")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("nav")).to_be_hidden()
    page.get_by_role("button", name="Settings").tap()
    expect(page.locator("#settings")).to_be_visible()
    assert page.locator("#settings").evaluate("(e) => e.scrollWidth - e.clientWidth") == 0


def test_dark_as_the_system_or_as_chosen(open_page):
    page = open_page(color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == "rgb(23, 24, 28)"
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Light").check()
    assert page.evaluate(ground) == "rgb(255, 255, 255)"
    page.reload()
    assert page.evaluate(ground) == "rgb(255, 255, 255)"


def test_only_the_pages_own_files_are_served(page, server):
    for name in ("package.json", "index.html", "vendor.mjs", "../page_routes.py", "%2e%2e/app.py"):
        assert page.request.get(f"{server.url}page/{name}").status == 404, name
    answer = page.request.get(f"{server.url}page/app.js")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src")
    assert answer.headers["x-content-type-options"] == "nosniff"
    again = page.request.get(answer.url, headers={"If-None-Match": answer.headers["etag"]})
    assert again.status == 304
