// Elements made from code. Text always goes in as a text node, so nothing here can turn text into
// markup; only render.js makes markup out of text.

// h("button", { class: "x", onclick: f, "aria-label": "y" }, child, "text", null)
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

// One of the symbols in index.html.
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

export function iconButton(name, label, onclick, properties = {}) {
  const own = { type: "button", class: "icon-button", "aria-label": label, title: label, onclick };
  return h("button", { ...own, ...properties }, icon(name));
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// `navigator.clipboard` exists on https and localhost only; elsewhere a selection is copied.
export async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = h("textarea", { class: "off-screen", "aria-hidden": "true" });
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

// A short message at the foot of the page; `undo` adds a button.
export function toast(text, undo = null) {
  const place = document.getElementById("toasts");
  const item = h("div", { class: "toast" }, text);
  if (undo) {
    const button = h("button", { type: "button" }, "Undo");
    button.addEventListener("click", () => {
      item.remove();
      undo();
    });
    item.append(button);
  }
  place.replaceChildren(item);
  setTimeout(() => item.remove(), 7000);
}
