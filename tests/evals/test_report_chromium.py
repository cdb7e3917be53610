"""The page in a real Chromium, with everything and with nothing: light, dark, wide, on a phone.
Nothing may overflow, be missing, or be too faint to read."""

import io

import pytest
from kept_runs import add_token_cost, keep, keep_all, row, write_rl
from PIL import Image
from test_report import write_run

from speciale.evals.report import write_report

pytestmark = pytest.mark.slow

SECTIONS = [
    "Stages", "Loss", "Indexer", "Experts", "Sparse against dense attention",
    "Token cost against position", "Problems", "Evaluation", "Accuracy against thinking tokens",
    "Long context", "Reinforcement learning", "Samples", "How to repeat it",
]  # fmt: skip
LONG = "a-name-that-goes-on-" * 6

# Of each text in a figure that is seen: its contrast with what lies under it, and how far it
# reaches out of its figure, in pixels. Contrast: WCAG 2.2, relative luminance.
TEXTS = """
() => {
  const rgba = (colour) => {
    const parts = colour.match(/[\\d.]+/g)?.map(Number) ?? [0, 0, 0, 0];
    return parts.length === 3 ? [...parts, 1] : parts;
  };
  const over = (top, under) => top.slice(0, 3).map((c, i) => c * top[3] + under[i] * (1 - top[3]));
  const light = (c) => {
    const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = c.map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const filled = (e) => {
    const style = getComputedStyle(e);
    const colour = rgba(style.fill);
    if (style.fill === "none") return [0, 0, 0, 0];
    return [...colour.slice(0, 3), colour[3] * style.fillOpacity * style.opacity];
  };
  const page = rgba(getComputedStyle(document.body).backgroundColor).slice(0, 3);
  const found = [];
  for (const text of document.querySelectorAll("svg text")) {
    const svg = text.closest("svg");
    if (!svg.checkVisibility() || !text.textContent.trim()) continue;
    const box = text.getBoundingClientRect(), frame = svg.getBoundingClientRect();
    let ground = page;
    for (const path of svg.querySelectorAll("path")) {
      const b = path.getBoundingClientRect(), x = box.x + box.width / 2, y = box.y + box.height / 2;
      const inside = b.x <= x && x <= b.right && b.y <= y && y <= b.bottom;
      const before = path.compareDocumentPosition(text) & Node.DOCUMENT_POSITION_FOLLOWING;
      if (inside && before && !path.closest("defs")) ground = over(filled(path), ground);
    }
    const [a, b] = [light(over(filled(text), ground)), light(ground)];
    found.push({
      text: text.textContent.trim(),
      contrast: (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05),
      out: Math.max(frame.x - box.x, box.right - frame.right, frame.y - box.y,
                    box.bottom - frame.bottom),
    });
  }
  return found;
}
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Both pages. The full one has 30 cells, all lengths, four runs and names without end."""
    place = tmp_path_factory.mktemp("pages")
    full = write_run(place / "full")
    add_token_cost(full)
    runs = [full, *(write_rl(full / name, name, full) for name in ("rl", "speciale", LONG[:60]))]
    for number, run in enumerate(runs):
        keep_all(run, better=number / 10)
        many = [row(f"reasoning-gym/family_number_{n}@{n}", n / 30) for n in range(29)]
        keep(run, "reasoning", "reasoning", [*many, row(LONG, None), row("all", 0.5)])
        lengths = [row(f"{kind}@{1024 << n}", 1 - n / 7 if n < 7 or kind == "words" else None)
                   for kind in ("needle", "multi-needle", "variables", "words")
                   for n in range(8)]  # fmt: skip
        keep(run, "longctx", "longctx", lengths)
    (place / "empty").mkdir()
    return {run.name: write_report(run) for run in (full, place / "empty")}


@pytest.fixture(params=[(scheme, width) for scheme in ("light", "dark") for width in (360, 1280)],
                ids=lambda each: f"{each[0]}-{each[1]}")  # fmt: skip
def show(request, chromium, pages):
    """Opens a page by name; at its end nothing may have been asked for or gone wrong."""
    scheme, width = request.param
    size = {"width": width, "height": 900}
    page = chromium.new_page(viewport=size, color_scheme=scheme)
    asked, problems = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text))

    def opened(name):
        page.goto(pages[name].as_uri())
        return page

    yield opened
    page.close()
    assert problems == [] and len(asked) == 1


def sound(page):
    """What holds of every page at any width."""
    assert page.locator("h2").all_inner_texts() == SECTIONS
    for section in page.locator("section").all():
        assert len(section.inner_text().split("\n", 1)[1].strip()) > 20
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0
    texts = page.evaluate(TEXTS)
    assert [each for each in texts if each["contrast"] < 4.5] == []
    assert [each for each in texts if each["out"] > 1] == []
    return texts


def test_everything(show):
    page = show("full")
    texts = {each["text"] for each in sound(page)}
    named = {"sparse", "dense", "chance", "speciale", "not measured", "100", "128K", "trained on"}
    assert named <= texts
    picture = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
    for title in SECTIONS[5:11]:
        section = page.locator("section", has=page.get_by_role("heading", name=title, exact=True))
        boxes = [figure.bounding_box() for figure in section.locator("figure svg:visible").all()]
        assert boxes, title
        for box in boxes:
            left, top = box["x"], box["y"]
            figure = picture.crop((left, top, left + box["width"], top + box["height"]))
            seen = figure.quantize(8).convert("RGB").getcolors(maxcolors=1 << 16)
            assert len(seen) >= 3, title  # the ground, its labels, what they tell


def test_nothing(show):
    page = show("empty")
    assert sound(page) == [] and page.locator("svg").count() == 0
    said = page.locator(".absent").all_inner_texts()
    assert len(said) >= len(SECTIONS)
    assert "speciale eval RUN --suite longctx" in page.inner_text("main")


def test_long_tables_open_within_the_page(show):
    page = show("full")
    for details in page.locator("section details").all():
        details.evaluate("e => { e.open = true }")
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert page.get_by_text("family_number_28@28").last.is_visible()
