"""What a reader does with the page."""

from playwright.sync_api import expect


def ask(page, words="Hi"):
    page.get_by_label("Message", exact=True).fill(words)
    page.keyboard.press("Enter")


def answers(page):
    return page.locator("article.assistant")


def idle(page):
    expect(page.get_by_role("button", name="Stop")).to_be_hidden()


def settings(page, **fields):
    page.get_by_role("button", name="Settings").click()
    for field, value in fields.items():
        page.locator(f"#{field}").fill(value)
    page.get_by_role("button", name="Close the settings").click()
