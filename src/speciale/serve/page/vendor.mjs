// Copies the browser builds of the page's libraries from a node_modules folder into vendor/:
// `node vendor.mjs path/to/node_modules` (what `make page` runs after `npm ci`).

import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const from = process.argv[2];
const to = join(dirname(fileURLToPath(import.meta.url)), "vendor");

// .mjs becomes .js: servers know that type everywhere.
const FILES = {
  "marked/lib/marked.esm.js": "marked.js",
  "dompurify/dist/purify.es.mjs": "purify.js",
  "@highlightjs/cdn-assets/es/highlight.min.js": "highlight.js",
  "katex/dist/katex.mjs": "katex.js",
  "katex/dist/katex.min.css": "katex.css",
};
const LICENCES = ["marked", "dompurify", "@highlightjs/cdn-assets", "katex"];

rmSync(to, { recursive: true, force: true });
mkdirSync(join(to, "fonts"), { recursive: true });
for (const [source, name] of Object.entries(FILES)) cpSync(join(from, source), join(to, name));

// Every browser with ES modules reads woff2; the style sheet's other two forms stay unused.
const fonts = join(from, "katex/dist/fonts");
for (const name of readdirSync(fonts).filter((n) => n.endsWith(".woff2"))) {
  cpSync(join(fonts, name), join(to, "fonts", name));
}

const texts = LICENCES.map((name) => {
  const { version } = JSON.parse(readFileSync(join(from, name, "package.json"), "utf8"));
  return `${name} ${version}\n\n${readFileSync(join(from, name, "LICENSE"), "utf8")}`;
});
writeFileSync(join(to, "LICENSES"), texts.join(`\n${"-".repeat(78)}\n\n`));
