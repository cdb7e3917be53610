// A model's text as safe elements: markdown, then DOMPurify with a short list of what may stand,
// then formulas (KaTeX) and code (highlight.js). Without vendor/ it is pre-wrapped text.

import { copyText, h, iconButton } from "./dom.js";
import { markdownBlocks } from "./markdown.js";

const MAX_HIGHLIGHT = 50_000; // characters of one code block; longer ones stay in one colour

const TAGS = (
  "a b blockquote br code del div em h1 h2 h3 h4 h5 h6 hr i kbd li mark ol p pre s small span " +
  "strong sub sup table tbody td th thead tr u ul"
).split(" ");
const ANSWER = {
  ALLOWED_TAGS: TAGS,
  ALLOWED_ATTR: ["href", "class", "start", "align"],
  ALLOWED_URI_REGEXP: /^(?:https?:\/\/|mailto:)/i,
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};
const HIGHLIGHTED = { ...ANSWER, ALLOWED_TAGS: ["span"], ALLOWED_ATTR: ["class"] };
const CLASS = /^(?:language-[\w+#.-]+|math-(?:inline|display|block)|hljs-[\w-]+(?: [\w-]+_)*)$/;

let libraries = null; // {blocks, purify}

const vendor = (name) => import(`./vendor/${name}.js`).catch(() => null);

// Calls `use(library)` once it is there: at once, but for the first time. Formulas and code show as
// their source until then, and the page opens without waiting for what an answer may never need.
function lazily(name) {
  let library = null;
  let loading = null;
  return (use) => {
    if (library) return use(library);
    loading ??= vendor(name).then((found) => (library = found?.default));
    return loading.then(() => library && use(library));
  };
}

const withHighlight = lazily("highlight");
const withKatex = lazily("katex");

async function load() {
  const [marked, purify] = await Promise.all(["marked", "purify"].map(vendor));
  if (!marked || !purify?.default.isSupported) return; // plain text it is
  purify.default.addHook("uponSanitizeAttribute", (element, attribute) => {
    if (attribute.attrName === "class" && !CLASS.test(attribute.attrValue)) {
      attribute.keepAttr = false;
    }
  });
  // Before KaTeX is asked for, so that no formula shows without its style.
  const href = new URL("./vendor/katex.css", import.meta.url);
  document.head.append(h("link", { rel: "stylesheet", href }));
  libraries = { blocks: markdownBlocks(marked), purify: purify.default };
}

// Resolves once texts render as well as they ever will.
export const ready = load();

// Shows `text` in `element`. Called again with a longer text it renders only blocks that changed,
// so that a stream costs its last block, and a selection in earlier ones stays. At `deadline`
// (performance.now()'s milliseconds) it stops after a block and returns false: call it again.
export function renderMarkdown(element, text, deadline = Infinity) {
  if (!libraries) {
    element.classList.add("plain-text");
    if (element.textContent !== text) element.textContent = text;
    return true;
  }
  const read = element.read ?? {};
  if (read.complete && read.text === text) return true;
  if (element.classList.contains("plain-text")) {
    element.classList.remove("plain-text");
    element.replaceChildren();
  }
  const blocks = read.text === text ? read.blocks : libraries.blocks(text);
  element.read = { text, blocks, complete: false };
  const shown = Array.from(element.children);
  for (const [index, html] of blocks.entries()) {
    if (shown[index]?.source === html) continue;
    const block = h("div", { class: "block" }, safeFragment(html));
    block.source = html;
    if (shown[index]) shown[index].replaceWith(block);
    else element.append(block);
    if (performance.now() > deadline && index < blocks.length - 1) return false;
  }
  shown.slice(blocks.length).forEach((block) => block.remove());
  element.read.complete = true;
  return true;
}

// Sanitised and finished elements of any HTML text, whoever wrote it.
export function safeFragment(html) {
  const fragment = libraries.purify.sanitize(html, ANSWER);
  fragment.querySelectorAll("a").forEach(finishLink);
  fragment.querySelectorAll("pre > code").forEach(finishCode);
  fragment.querySelectorAll("table").forEach((table) => {
    const properties = { tabindex: "0", role: "region", "aria-label": "Table" };
    const frame = h("div", { class: "table-frame", ...properties });
    table.replaceWith(frame);
    frame.append(table);
  });
  for (const kind of ["inline", "display", "block"]) {
    fragment.querySelectorAll(`.math-${kind}`).forEach((place) => finishMath(place, kind));
  }
  return fragment;
}

// A link opens elsewhere, says where it goes, and cannot pass for another address.
function finishLink(link) {
  let url;
  try {
    url = new URL(link.getAttribute("href"));
  } catch {
    link.replaceWith(...link.childNodes);
    return;
  }
  link.target = "_blank";
  link.rel = "noopener noreferrer nofollow";
  link.title = url.href;
  const claimed = /^\s*(?:https?:\/\/)?([\w-]+(?:\.[\w-]+)+)/i.exec(link.textContent)?.[1];
  if (claimed && url.host && claimed.toLowerCase() !== url.hostname) {
    link.append(h("span", { class: "link-host" }, ` (${url.host})`));
  }
}

function finishCode(code) {
  const text = code.textContent;
  const language = /^language-(.+)$/.exec(code.className)?.[1] ?? "";
  if (language && text.length <= MAX_HIGHLIGHT) {
    withHighlight((highlight) => {
      if (!highlight.getLanguage(language)) return;
      const { value } = highlight.highlight(text, { language, ignoreIllegals: true });
      code.replaceChildren(libraries.purify.sanitize(value, HIGHLIGHTED));
    });
  }
  const copy = iconButton("copy", "Copy code", () => copyText(text));
  const bar = h("div", { class: "code-bar" }, h("span", {}, language || "text"), copy);
  const pre = code.parentElement;
  pre.tabIndex = 0; // long lines scroll, by keyboard too
  const frame = h("div", { class: "code-block" }, bar);
  pre.replaceWith(frame);
  frame.append(pre);
}

// trust: false bars \href, \url, \includegraphics and \html...; the rest bounds work and size.
function finishMath(place, kind) {
  const source = place.textContent;
  const options = {
    displayMode: kind !== "inline",
    throwOnError: false,
    trust: false,
    strict: "ignore",
    maxExpand: 500,
    maxSize: 20,
    macros: {},
  };
  withKatex((katex) => {
    try {
      katex.render(source, place, options);
    } catch {
      place.textContent = source;
    }
  });
}
