"""A real Chromium, the page open in it, and a watch for what a page may never do."""

import pytest
from page_server import PageServer, running
from playwright.sync_api import expect

from speciale.serve.page_routes import FOLDER


@pytest.fixture(scope="module")
def base():
    assert (FOLDER / "vendor").is_dir(), "the page's libraries are missing: run `make page` (npm)"
    with running(PageServer()) as server:
        yield server


@pytest.fixture
def server(base):
    PageServer.__init__(base, url=base.url)
    return base


class Watch:
    """What a page asked the network for, said, and did in ways that it never may."""

    def __init__(self, page):
        self.requests, self.dialogs, self.problems = [], [], []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", self._console)

    def _console(self, message):
        # Answers of 4xx are scripted; a refusal of the policy is an error too, and is not.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.problems.append(message.text)


@pytest.fixture
def open_page(chromium, server):
    """Opens the page in a fresh profile; at the end nothing may have gone wrong in it."""
    contexts, watches = [], []

    def open_(width=1100, height=800, **options):
        context = chromium.new_context(
            viewport={"width": width, "height": height}, reduced_motion="reduce", **options
        )
        contexts.append(context)
        context.set_default_timeout(15_000)
        page = context.new_page()
        page.watch = Watch(page)
        watches.append(page.watch)
        page.goto(server.url)
        expect(page.locator("body.ready")).to_be_attached()
        return page

    yield open_
    for context in contexts:
        context.close()
    for watch in watches:
        assert (watch.dialogs, watch.problems) == ([], [])
        assert [url for url in watch.requests if not url.startswith((server.url, "blob:"))] == []


@pytest.fixture
def page(open_page):
    return open_page()
