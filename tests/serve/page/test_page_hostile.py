"""The page in Chromium: what a model says is shown, and never obeyed."""

import threading

import pytest
from hands import answers, ask, idle
from page_server import delta, text
from playwright.sync_api import expect

pytestmark = pytest.mark.slow  # in .ci/run


def test_markdown_formulas_and_code(page, server):
    answer = r"""# Title
Euler: $e^{i\pi}+1=0$ and \(a<b\), for $5 or $6.

$$\{x \mid x > 0\}$$

```python
def f(x): return "x" < 1
```

| a | b |
|---|--:|
| 1 | `$2$` |

- [x] done
"""
    server.say(*text(answer))
    ask(page)
    idle(page)
    shown = answers(page).locator(".answer")
    expect(shown.locator("h1")).to_have_text("Title")
    expect(shown.locator(".katex")).to_have_count(3)
    expect(shown.locator(".katex-display")).to_have_count(1)
    expect(shown).to_contain_text("for $5 or $6.")
    expect(shown.locator(".hljs-keyword").first).to_have_text("def")
    expect(shown.locator("pre")).to_have_text('def f(x): return "x" < 1\n')
    expect(shown.locator("td").nth(1)).to_have_text("$2$")
    expect(shown.locator("li")).to_have_text("☑ done")
    # The formulas' own fonts and styles are there: KaTeX hides its MathML from view.
    assert shown.locator(".katex-mathml").first.evaluate("(e) => getComputedStyle(e).position") == (
        "absolute"
    )


OUTSIDE = "http://outside.invalid/x"
HOSTILE = {
    "script": "<script>window.ran = 1; alert(1)</script>",
    "onerror": '<img src=x onerror="window.ran = 1; alert(1)">',
    "remote image": f'<img src="{OUTSIDE}"> ![a]({OUTSIDE}) ![b][r]\n\n[r]: {OUTSIDE}',
    "links": (
        "[a](javascript:alert(1)) [b](JaVa\tscript:alert(1)) [c](data:text/html,<script>1</script>)"
        " [d](vbscript:x) [e](&#106;avascript:alert(1)) <javascript:alert(1)>"
        " [f](//outside.invalid)"
    ),
    "breaking out": (
        f'[a]({OUTSIDE} "x\\" onmouseover=alert(1) y=\\"") [b]({OUTSIDE}"onclick=alert(1))'
    ),
    "html links": "<a href='javascript:alert(1)'>a</a><a href=data:text/html,x>b</a><a href=x>c",
    "iframe": f'<iframe src="{OUTSIDE}" srcdoc="<script>parent.ran=1</script>"></iframe>',
    "svg": "<svg onload=alert(1)><script>window.ran=1</script><use href='data:,x#y'/></svg>",
    "mathml": "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "style": f"<style>@import '{OUTSIDE}'; body {{display: none}}</style>",
    "css": f'<b style="background: url({OUTSIDE}); position: fixed">x</b>',
    "form": f'<form action="{OUTSIDE}"><input name=key><button>Send your key</button></form>',
    "meta": f'<meta http-equiv=refresh content="0;url={OUTSIDE}"><base href="{OUTSIDE}">',
    "object": f'<object data="{OUTSIDE}"></object><embed src="{OUTSIDE}"><video src="{OUTSIDE}">',
    "clobbering": "<a id=banner name=send href=x>x</a><form id=composer name=body>",
    "forged notice": '<div class="notice error" role="alert">Forged</div>',
    "formula": (
        rf"$\href{{javascript:alert(1)}}{{x}}$ $\url{{{OUTSIDE}}}$"
        rf" $\includegraphics{{{OUTSIDE}}}$ $\htmlStyle{{position:fixed}}{{x}}$"
        r" $\htmlClass{notice}{x}$ $\htmlId{banner}{x}$"
    ),
    "formula bomb": r"$\def\a{xx}\def\b{\a\a}\def\c{\b\b\b\b\b\b\b\b\b}\def\d{\c\c\c\c\c\c\c\c\c}"
    r"\def\e{\d\d\d\d\d\d\d\d\d\d}\e\e\e\e\e$ $\rule{99999em}{99999em}$",
    "formula in html": "$</span><img src=x onerror=alert(1)>$ $$<script>alert(1)</script>$$",
    "code": "```html\n<script>alert(1)</script>\n<img src=x onerror=alert(1)>\n```",
    "language": '```"><img/src=x/onerror=alert(1)>\nx\n```\n\n```html" onclick="alert(1)\nx\n```',
    "unclosed fence": "```js\n<img src=x onerror=alert(1)>\n</code></pre><script>alert(1)</script>",
    "comment": "<!-- --!><img src=x onerror=alert(1)> --><![CDATA[<script>alert(1)</script>]]>",
    "plain tag": "a<br onclick=alert(1)>b<sub/onclick=alert(1)>c</sub><B\tonclick=alert(1)>",
}
# What stands in an answer; KaTeX alone may make further elements, and place them by styles.
COUNT = """(root) => {
  const all = [...root.querySelectorAll("*")];
  const rest = all.filter((element) => !element.closest(".katex, .katex-error"));
  return {
    tags: rest.map((element) => element.localName),
    styled: rest.filter((element) => element.hasAttribute("style")).length,
    attributes: all.flatMap((element) => element.getAttributeNames()),
    links: all.map((element) => element.getAttribute("href")).filter((href) => href !== null),
    classes: all.flatMap((element) => [...element.classList]),
    ids: document.querySelectorAll("#banner, #composer").length,
    size: document.documentElement.scrollWidth <= innerWidth,
    ran: window.ran,
  };
}"""


def check(found, name):
    assert found["ran"] is None, name
    assert found["ids"] == 2 and found["size"], name
    unwanted = {"script", "img", "iframe", "form", "input", "style", "object", "math"}
    assert unwanted & set(found["tags"]) == set(), name
    assert found["styled"] == 0, name
    assert not [a for a in found["attributes"] if a.startswith("on")], name
    links = [href for href in found["links"] if not href.startswith("#icon-")]
    assert all(href.startswith("http://outside.invalid/") for href in links), name
    assert not {"notice", "error"} & set(found["classes"]), name


def test_hostile_answers_run_nothing_and_ask_for_nothing(page, server):
    """The page's own sanitising holds alone: not one thing is left for the policy to refuse."""
    server.say(*text("$x$"))
    ask(page)
    expect(answers(page).locator(".katex")).to_have_count(1)  # KaTeX is there from now on
    for words in HOSTILE.values():
        server.say(*text(words, reasoning=words))
    for count, name in enumerate(HOSTILE, 2):
        ask(page, name)
        expect(answers(page)).to_have_count(count)
        idle(page)
        last = answers(page).last
        last.locator("summary").click()
        for part in (".answer", ".reasoning"):
            check(last.locator(part).evaluate(COUNT), name)
    assert page.url.startswith(server.url)
    # `open_page` has the rest: no dialog, no error of the policy, no request to elsewhere.


def test_html_that_markdown_let_through_is_sanitised_too(page, server):
    """The list of what may stand holds by itself, without the escaping that comes before it."""
    load = "async (url) => { window.render = await import(url); await window.render.ready; }"
    page.evaluate(load, f"{server.url}page/render.js")
    show = """(html) => {
      const root = document.createElement("div");
      root.append(window.render.safeFragment(html));
      document.querySelector("#welcome").replaceChildren(root);
      return root;
    }"""
    for name, words in HOSTILE.items():
        check(page.evaluate_handle(show, words).as_element().evaluate(COUNT), name)
    # <style>, <base> and (in Chromium since 156.0.8078.108) handlers are refused in the inert
    # document that DOMPurify reads the text into; `check` saw that none stands in what is shown.
    parsing = ("Applying inline style", "Setting the document's base URI")
    parsing += ("Executing inline event handler",)
    problems = [p for p in page.watch.problems if not p.startswith(parsing)]
    page.watch.problems[:] = problems


def test_links_open_elsewhere_and_say_where_they_go(page, server):
    server.say(*text("[https://bank.example](https://thief.example/x) [here](mailto:a@b.c)"))
    ask(page)
    idle(page)
    link, mail = answers(page).locator("a").all()
    expect(link).to_have_text("https://bank.example (thief.example)")
    expect(link).to_have_attribute("target", "_blank")
    expect(link).to_have_attribute("rel", "noopener noreferrer nofollow")
    expect(mail).to_have_attribute("href", "mailto:a@b.c")


def test_the_policy_is_a_second_wall(open_page, server):
    """What sanitising would have missed: the browser refuses it."""
    page = open_page()
    wanted = ["img-src", "frame-src", "style-src-elem", "form-action", "connect-src"]
    wanted += ["fetch", "innerHTML"]
    outcome = page.evaluate(
        """async ([outside, wanted]) => {
          const refused = [];
          document.addEventListener("securitypolicyviolation", (event) =>
            refused.push(event.effectiveDirective));
          const image = document.createElement("img");
          image.src = outside;
          const frame = document.createElement("iframe");
          frame.src = outside;
          const style = document.createElement("style");
          style.textContent = "body { display: none }";
          const form = document.createElement("form");
          form.action = outside;
          document.body.append(image, frame, style, form);
          form.submit();
          try { document.body.innerHTML = "<b>x</b>"; } catch { refused.push("innerHTML"); }
          await fetch(outside).catch(() => refused.push("fetch"));
          const all = () => wanted.every((name) => refused.includes(name));
          for (let turn = 0; turn < 200 && !all(); turn++) {
            await new Promise((resolve) => setTimeout(resolve, 50));
          }
          return [refused, getComputedStyle(document.body).display];
        }""",
        [OUTSIDE, wanted],
    )
    refused, display = outcome
    assert set(wanted) <= set(refused)
    assert display == "grid"
    page.watch.problems.clear()
    page.watch.requests.clear()


def test_without_the_libraries_answers_are_plain_text(chromium, server):
    context = chromium.new_context()
    page = context.new_page()
    page.route("**/vendor/**", lambda route: route.fulfill(status=404))
    page.goto(server.url)
    server.say(*text("**a**\n<img src=x onerror=alert(1)>"))
    expect(page.locator("body.ready")).to_be_attached()
    ask(page)
    idle(page)
    shown = answers(page).locator(".answer")
    assert shown.text_content() == "**a**\n<img src=x onerror=alert(1)>"
    assert shown.evaluate("(e) => [e.children.length, getComputedStyle(e).whiteSpace]") == [
        0,
        "pre-wrap",
    ]
    context.close()


def test_a_stream_redraws_only_its_last_block(page, server):
    gate = threading.Event()
    server.say(delta(content="First.\n\nSecond"), gate, delta(content=" goes on."), delta("stop"))
    ask(page)
    expect(answers(page)).to_contain_text("Second")
    answers(page).locator("p").first.evaluate("(element) => { element.marked = true; }")
    gate.set()
    expect(answers(page)).to_contain_text("Second goes on.")
    marks = "(all) => all.map((element) => element.marked ?? false)"
    assert answers(page).locator("p").evaluate_all(marks) == [True, False]
