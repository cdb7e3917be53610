"""The page in front of the real service: its key, a thinking answer, the filter's refusal."""

import re

import pytest
from hands import answers, ask, idle, settings
from playwright.sync_api import expect
from running import Scripted, Words, running

from speciale.safety.policy import Policy

pytestmark = pytest.mark.slow  # in .ci/run


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    script = Scripted("A good question. </think>It is **forty-two**.", delay_s=0.01)
    folder = tmp_path_factory.mktemp("service")
    with running(folder, script, policy=Policy(), classifiers=Words(), thinks=True) as served:
        yield served


@pytest.fixture
def server(service):
    """In place of the double that open_page would open."""
    return service


def test_a_key_a_thinking_answer_and_a_refusal(page, service):
    expect(page.locator("#banner")).to_contain_text("Enter your API key")
    settings(page, **{"api-key": service.secret})
    expect(page.locator("#banner")).to_be_hidden()
    ask(page, "What is the answer?")
    answer = answers(page).last
    expect(answer.locator("strong")).to_have_text("forty-two")
    # The filter may let a short thought go together with the answer: then no time is told.
    expect(answer.locator("details summary")).to_contain_text(re.compile("^Thought"))
    expect(answer).to_contain_text("tokens/s")
    expect(answer.get_by_text("A good question.")).to_be_hidden()  # folded
    ask(page, "A brutal question")
    idle(page)
    expect(page.get_by_role("alert").last).to_contain_text("violence", ignore_case=True)
