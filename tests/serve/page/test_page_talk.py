"""The page in Chromium: streams, tool calls, filter findings, errors."""

import json
import re
import threading

import pytest
from hands import answers, ask, idle, settings
from page_server import delta, text
from playwright.sync_api import expect

pytestmark = pytest.mark.slow  # in .ci/run

SAFE = {"hate": {"filtered": False, "severity": "safe"}}


# --- a stream -------------------------------------------------------------------------------------


def test_text_shows_as_it_arrives_and_the_request_is_as_set(page, server):
    gate = threading.Event()
    server.say(delta(content="First **part"), gate, delta(content="** then."), *text("")[-2:])
    settings(page, system="Be brief.", temperature="0.5", max_tokens="64", seed="7")
    ask(page, "Question?")
    expect(answers(page)).to_contain_text("First **part")
    expect(answers(page)).to_have_attribute("aria-busy", "true")
    gate.set()
    expect(answers(page).locator("strong")).to_have_text("part")
    idle(page)
    expect(answers(page)).to_have_attribute("aria-busy", "false")
    # 400 hits at 0.1, 600 misses at 1 and 500 out at 2 dollars a million: 0.00164
    expect(answers(page).locator(".stats")).to_contain_text(
        "1,000 tokens in (400 cached) · 500 out"
    )
    expect(answers(page).locator(".stats")).to_contain_text("$0.0016")
    assert server.keys == [None]
    assert server.bodies == [
        {
            "model": "deepseek-chat",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Question?"},
            ],
            "thinking": {"type": "enabled"},
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": 0.5,
            "max_tokens": 64,
            "seed": 7,
        }
    ]


def test_thinking_is_folded_and_stays_as_the_reader_has_it(page, server):
    gate = threading.Event()
    server.say(delta(reasoning_content="Let me *see*."), gate, *text("Yes."))
    ask(page)
    details = answers(page).locator("details")
    expect(details.locator("summary")).to_contain_text(re.compile(r"Thinking… \d+\.\d s"))
    expect(answers(page).locator(".reasoning")).to_be_hidden()
    details.locator("summary").click()
    expect(answers(page).locator(".reasoning em")).to_have_text("see")
    # What took less than a twentieth of a second would have no time to tell.
    expect(details.locator("summary")).to_contain_text(re.compile(r"Thinking… (0\.[1-9]|[1-9])"))
    gate.set()
    expect(answers(page).locator(".answer")).to_have_text("Yes.")
    expect(details.locator("summary")).to_contain_text(re.compile(r"^Thought for \d+\.\d s$"))
    expect(details).to_have_attribute("open", "")
    idle(page)
    # Reasoning of an earlier turn is not sent again; the switch is.
    page.get_by_role("button", name="Thinking").click()
    ask(page, "More")
    idle(page)
    assert server.bodies[1]["messages"][1] == {"role": "assistant", "content": "Yes."}
    assert server.bodies[1]["thinking"] == {"type": "disabled"}


def test_stop_reaches_the_server_and_keeps_what_came(page, server):
    server.say(delta(content="Some text"), threading.Event())
    ask(page)
    expect(answers(page)).to_contain_text("Some text")
    page.get_by_role("button", name="Stop").click()
    assert server.left.wait(10)
    expect(answers(page)).to_contain_text("Stopped")
    expect(answers(page).locator(".answer")).to_have_text("Some text")
    idle(page)


def test_an_answer_goes_on_while_another_conversation_is_shown(page, server):
    gate = threading.Event()
    server.say(delta(content="One "), gate, *text("two."))
    ask(page, "Slow one")
    expect(answers(page)).to_contain_text("One")
    page.get_by_role("button", name="New conversation", exact=True).click()
    expect(answers(page)).to_have_count(0)
    ask(page, "Quick one")
    expect(answers(page)).to_contain_text("Hello.")
    gate.set()
    page.locator("nav").get_by_role("button", name="Slow one", exact=True).click()
    expect(answers(page).locator(".answer")).to_have_text("One two.")


def test_a_connection_that_breaks_is_said(page, server):
    server.say(delta(content="Half"))
    ask(page)
    expect(page.get_by_role("alert")).to_contain_text("ended before the answer was complete")
    expect(answers(page).locator(".answer")).to_have_text("Half")


# --- tools, filter, errors ------------------------------------------------------------------------

TOOL = {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}


def call(index, **function):
    return {"index": index, "id": f"call_{index}", "type": "function", "function": function}


def test_tool_calls_are_cards_whose_results_go_on(page, server):
    server.say(
        delta(reasoning_content="I need the weather."),
        delta(tool_calls=[call(0, name="get_weather", arguments='{"city": ')]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": '"Paris"}'}}]),
        delta(tool_calls=[call(1, name="get_time", arguments="{}")]),
        delta("tool_calls"),
    )
    server.say(*text("It is warm."))
    settings(page, tools=json.dumps([TOOL]))
    ask(page, "Weather?")
    card = page.get_by_role("region", name="Tool call get_weather")
    expect(card.locator(".tool-arguments")).to_have_text('{\n  "city": "Paris"\n}')
    ask(page, "Impatient")
    expect(page.locator(".toast")).to_contain_text("waits for the results")
    page.get_by_label("Result of get_weather").fill("<b>21 °C</b>")
    page.get_by_label("Result of get_time").fill("noon")
    page.get_by_role("button", name="Send results").click()
    expect(answers(page).nth(1)).to_contain_text("It is warm.")
    expect(card.locator(".tool-result")).to_have_text("<b>21 °C</b>")
    assert server.bodies[0]["tools"] == [{"type": "function", "function": TOOL}]
    function = {"name": "get_weather", "arguments": '{"city": "Paris"}'}
    time = {"name": "get_time", "arguments": "{}"}
    assert server.bodies[1]["messages"] == [
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "call_0", "type": "function", "function": function},
                {"id": "call_1", "type": "function", "function": time},
            ],
            "reasoning_content": "I need the weather.",
        },
        {"role": "tool", "tool_call_id": "call_0", "content": "<b>21 °C</b>"},
        {"role": "tool", "tool_call_id": "call_1", "content": "noon"},
    ]


def test_a_call_that_was_cut_off_asks_for_no_result(page, server):
    server.say(delta(tool_calls=[call(0, name="get_weather", arguments='{"ci')]), delta("length"))
    ask(page)
    expect(answers(page)).to_contain_text("Cut off")
    expect(page.get_by_role("region", name="Tool call")).to_have_count(0)


def test_wrong_settings_are_said_and_not_sent(page, server):
    page.get_by_role("button", name="Settings").click()
    page.locator("#temperature").fill("3")
    expect(page.locator("#temperature-error")).to_have_text("A number from 0 to 2, or nothing.")
    page.locator("#tools").fill("[{]")
    expect(page.locator("#tools-error")).to_contain_text("not JSON")
    page.keyboard.press("Escape")
    ask(page)
    idle(page)
    assert server.bodies[0].keys() & {"temperature", "tools"} == set()


def test_filter_findings_are_badges(page, server):
    prompt = {**SAFE, "jailbreak": {"filtered": False, "detected": True}}
    results = {"violence": {"filtered": False, "severity": "low"}, **SAFE}
    server.say(
        {"choices": [], "prompt_filter_results": [{"content_filter_results": prompt}]},
        delta(content="A story", choice={"content_filter_results": results}),
        delta("stop", choice={"content_filter_results": {"violence": {"severity": "safe"}}}),
    )
    ask(page)
    expect(page.locator(".badge")).to_have_text(
        ["prompt · jailbreak: detected", "answer · violence: low"]
    )


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_filtered_answer_is_said_with_its_category(page, server, asynchronous):
    choice = {"content_filter_results": {"violence": {"filtered": True, "severity": "high"}}}
    if asynchronous:
        choice["content_filter_offsets"] = {"check_offset": 0, "start_offset": 0, "end_offset": 9}
    server.say(delta(content="Text so far"), delta("content_filter", choice))
    ask(page)
    expect(page.get_by_role("alert")).to_contain_text("stopped by the content filter")
    expect(page.get_by_role("alert")).to_contain_text("violence: high")
    # With the asynchronous filter, what was shown had not been vetted.
    shown = answers(page).locator(".answer")
    expect(shown).to_have_text("" if asynchronous else "Text so far")


def test_a_filtered_prompt_is_said_with_its_category(page, server):
    inner = {
        "code": "ResponsibleAIPolicyViolation",
        "content_filter_result": {"hate": {"filtered": True, "severity": "medium"}},
    }
    message = "The response was filtered."
    server.fail(400, message, code="content_filter", param="prompt", innererror=inner)
    ask(page)
    notice = page.get_by_role("alert")
    expect(notice).to_contain_text("Your message was stopped by the content filter")
    expect(notice).to_contain_text("hate: medium")
    ask(page, "Something else")
    expect(answers(page).last).to_contain_text("Hello.")
    assert server.bodies[1]["messages"] == [{"role": "user", "content": "Something else"}]


@pytest.mark.parametrize(
    "status, headers, wanted",
    [
        (401, {}, "The API key is missing or wrong"),
        (402, {}, "The balance is used up"),
        (429, {"Retry-After": "12"}, "Try again in 12 s."),
        (503, {}, "The server is overloaded"),
        (418, {}, "The server answered 418"),
    ],
)
def test_errors_show_the_servers_words(page, server, status, headers, wanted):
    server.fail(status, "Words of the <b>server</b>.", headers)
    ask(page)
    expect(page.get_by_role("alert")).to_contain_text(wanted)
    expect(page.get_by_role("alert")).to_contain_text("Words of the <b>server</b>.")
    idle(page)


def test_the_key_is_sent_and_forgotten_with_the_tab_unless_remembered(page, server):
    server.key = "sk-1"
    page.reload()
    expect(page.locator("#banner")).to_contain_text("Enter your API key")
    settings(page, **{"api-key": "sk-1"})
    expect(page.locator("#banner")).to_be_hidden()
    ask(page)
    expect(answers(page)).to_contain_text("Hello.")
    assert server.keys == ["Bearer sk-1"]
    kept = "[sessionStorage, localStorage].map((storage) => storage.getItem('speciale.key'))"
    assert page.evaluate(kept) == ["sk-1", None]
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Remember on this device").check()
    assert page.evaluate(kept) == [None, "sk-1"]
