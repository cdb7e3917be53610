// Elements made from code, and JSON from the server. Text always goes in as a text node: nothing
// here, or in what uses it, turns a stored text into markup.

export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(2).filter((child) => child !== null && child !== undefined));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

export function svg(tag, properties = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(properties)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// The server's JSON; an error with its sentence.
export async function ask(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value !== undefined);
  const search = new URLSearchParams(given).toString();
  const response = await fetch(search ? `${path}?${search}` : path);
  let told = null;
  try {
    told = await response.json();
  } catch {
    throw new Error(`The server answered ${response.status} without JSON.`);
  }
  if (!response.ok) throw new Error(told.error ?? `The server answered ${response.status}.`);
  return told;
}

// Places in the page: `#/`, `#/ID`, `#/ID/NNN`.
export const place = (...parts) => `#/${parts.map(encodeURIComponent).join("/")}`;
export const at = (...parts) => `api/families/${parts.map(encodeURIComponent).join("/")}`;

export const figure = (value, digits = 1) =>
  value === null || value === undefined ? "" : Number(value.toFixed(digits)).toLocaleString("en");

export const span = (pair) =>
  !pair ? "" : pair[0] === pair[1] ? `${pair[0]}` : `${pair[0]}–${pair[1]}`;

export const json = (value, indent = 0) => JSON.stringify(value, null, indent) ?? "";

export const code = (text, ...classes) => h("pre", { class: classes.join(" ") }, h("code", {}, text));

export function table(columns, rows, caption) {
  const cells = (row) =>
    row.map((cell, index) => h("td", { class: columns[index].class }, cell ?? ""));
  return h(
    "div",
    { class: "wide", tabindex: "0", role: "region", "aria-label": caption },
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, columns.map((c) => h("th", { class: c.class, scope: "col" }, c.name)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, cells(row)))),
    ),
  );
}

export function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return h("dl", {}, shown.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

export const mark = (text, kind = "") => h("span", { class: `mark ${kind}` }, text);

// Buttons through pages of `size` of `count` things; `go` is given the first one's number.
export function pager(first, size, count, go, what) {
  const last = Math.min(first + size, count);
  const words = count ? `${(first + 1).toLocaleString("en")}–${last.toLocaleString("en")} of ` : "";
  return h(
    "div",
    { class: "pager" },
    h("button", { type: "button", disabled: first <= 0, onclick: () => go(first - size) }, "Back"),
    h("button", { type: "button", disabled: last >= count, onclick: () => go(first + size) }, "Next"),
    h("span", { class: "hint" }, `${words}${count.toLocaleString("en")} ${what}`),
  );
}
