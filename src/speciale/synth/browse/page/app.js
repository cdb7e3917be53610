// What the address asks for, into the page. Later answers never overwrite newer ones.

import { h } from "./dom.js";
import { family } from "./family.js";
import { home } from "./home.js";
import { task } from "./task.js";

const main = document.getElementById("main");
const trail = document.getElementById("trail");
let turn = 0;

function wanted() {
  const parts = location.hash.replace(/^#\/?/, "").split("/").filter(Boolean);
  let named;
  try {
    named = parts.map(decodeURIComponent);
  } catch {
    named = parts;
  }
  if (named.length === 0) return home();
  return named.length === 1 ? family(named[0]) : task(named[0], named[1]);
}

async function show() {
  const own = ++turn;
  document.body.classList.remove("ready");
  let view;
  try {
    view = await wanted();
  } catch (error) {
    view = { title: "Not found", trail: [], content: [h("p", { class: "error" }, error.message)] };
  }
  if (own !== turn) return;
  document.title = view.title;
  trail.replaceChildren(...view.trail.map(([name, href]) => (href ? h("a", { href }, name) : h("span", {}, name))));
  main.replaceChildren(...view.content.flat(3).filter((each) => each !== null && each !== undefined));
  document.body.classList.add("ready");
  scrollTo(0, 0);
  if (own > 1) main.focus({ preventScroll: true });
}

addEventListener("hashchange", () => {
  if (location.hash !== "#main") show();
});
show();
