// Markdown to HTML text, with formulas set apart. What comes out is not yet safe: render.js
// sanitises it. Raw HTML shows as the text it is, but for a few tags without attributes.

export const MAX_FORMULA = 4000; // characters; longer ones show as their source
const PLAIN_TAG = /^<\/?(?:br|sub|sup|kbd|b|i|u|s|em|strong|mark|small)\s*\/?>$/i;

export function escapeHtml(text) {
  const names = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  return text.replace(/[&<>"']/g, (character) => names[character]);
}

function mathToken(type, match, display) {
  if (!match || match[0].length > MAX_FORMULA) return undefined;
  const text = match[1] ?? match[2];
  return { type, raw: match[0], text: text.trim(), display };
}

// $$...$$ and \[...\] that stand on their own lines.
const mathBlock = {
  name: "mathBlock",
  level: "block",
  start: (text) => text.match(/(?:^|\n) {0,3}(?:\$\$|\\\[)/)?.index,
  tokenizer(text) {
    const pattern =
      /^ {0,3}(?:\$\$((?:[^$\\]|\\[^])+?)\$\$|\\\[((?:[^\\]|\\[^\]])+?)\\\])[ \t]*(?:\n|$)/;
    return mathToken("mathBlock", pattern.exec(text.slice(0, MAX_FORMULA + 10)), true);
  },
  renderer: ({ text }) => `<div class="math-block">${escapeHtml(text)}</div>`,
};

// $...$ as pandoc reads it: no space inside the marks, no digit after them, so that prices stay
// text; and \(...\), and both display forms within a line.
const mathInline = {
  name: "mathInline",
  level: "inline",
  start: (text) => text.match(/\$|\\\(|\\\[/)?.index,
  tokenizer(text) {
    const part = text.slice(0, MAX_FORMULA + 10);
    const display = /^(?:\$\$((?:[^$\\]|\\[^])+?)\$\$|\\\[((?:[^\\]|\\[^\]])+?)\\\])/.exec(part);
    if (display) return mathToken("mathInline", display, true);
    const dollars = /^\$(?![\s$])((?:[^$\\\n]|\\[^\n])+?)(?<!\s)\$(?!\d)/.exec(part);
    const inline = dollars ?? /^\\\(((?:[^\\]|\\[^)])+?)\\\)/.exec(part);
    return mathToken("mathInline", inline, false);
  },
  // A block element may not stand in a paragraph.
  renderer({ display, text }) {
    return `<span class="math-${display ? "display" : "inline"}">${escapeHtml(text)}</span>`;
  },
};

const renderer = {
  html: ({ text }) => (PLAIN_TAG.test(text.trim()) ? text : escapeHtml(text)),
  // An image would tell its host that the answer was read, and what the model put in its address.
  image({ href, text }) {
    const remote = /^https?:/i.test(href);
    const label = escapeHtml(`Image: ${text || (remote ? href : "none shown")}`);
    return remote ? `<a href="${escapeHtml(href)}">${label}</a>` : `<em>${label}</em>`;
  },
  checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
  code({ text, lang }) {
    const language = /^[\w+#.-]{1,30}/.exec(lang ?? "")?.[0].toLowerCase();
    const name = language ? ` class="language-${escapeHtml(language)}"` : "";
    return `<pre><code${name}>${escapeHtml(text)}\n</code></pre>\n`;
  },
};

// A function of a text: the HTML of each of its top-level blocks, in order.
export function markdownBlocks({ Marked }) {
  const marked = new Marked({ gfm: true });
  marked.use({ extensions: [mathBlock, mathInline], renderer });
  return (text) => {
    const tokens = marked.lexer(text);
    return tokens.filter((token) => token.type !== "space").map((token) => marked.parser([token]));
  };
}
