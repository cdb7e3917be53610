// A task's samples side by side, a column a step. What a model wrote goes in as text nodes alone.

"use strict";

const tasks = JSON.parse(document.getElementById("samples-data").textContent);
const viewer = document.getElementById("viewer");

function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(2).filter((child) => child !== null && child !== undefined));
  return element;
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const words = (value) =>
  typeof value === "string" ? value : value === null || value === undefined ? "" : JSON.stringify(value, null, 1);
const figure = (value, digits = 2) =>
  typeof value === "number" ? Number(value.toFixed(digits)).toLocaleString("en") : "–";
const verdict = (score) =>
  typeof score !== "number" ? "" : score >= 1 ? "good" : score <= 0 ? "bad" : "part";

// A message's content: a text, or OpenAI's list of parts.
function content(message) {
  if (!Array.isArray(message.content)) return words(message.content);
  return message.content.map((part) => (isObject(part) && "text" in part ? words(part.text) : words(part))).join("\n");
}

function piece(kind, label, text, tone = "") {
  return h("div", { class: `piece ${kind} ${tone}` }, h("h5", {}, label), h("div", {}, text));
}

function call(made) {
  const { name, arguments: given } = isObject(made?.function) ? made.function : {};
  let shown = words(given);
  try {
    const read = typeof given === "string" ? JSON.parse(given) : given;
    if (isObject(read)) shown = Object.entries(read).map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(", ");
  } catch {
    // not JSON: shown as it was written
  }
  return piece("call", "Call", `${words(name) || "?"}(${shown})`);
}

// What was said before the model's first word, the same at every step.
function sharedPrefix(samples) {
  const first = samples[0].messages;
  let count = 0;
  while (
    count < first.length && ["system", "developer", "user"].includes(first[count]?.role) &&
    samples.every(({ messages }) => JSON.stringify(messages[count]) === JSON.stringify(first[count]))
  ) count += 1;
  return count;
}

// A conversation in turns, each a list of elements: an assistant's thinking, words and calls with
// their results, or what else was said. The last thinking and the answer stand apart.
function conversation(sample, from) {
  const messages = sample.messages.slice(from).filter(isObject);
  const turns = [];
  let thinking = null;
  let answer = null;
  messages.forEach((message, index) => {
    const said = content(message);
    const thought = words(message.reasoning_content);
    const calls = Array.isArray(message.tool_calls) ? message.tool_calls : [];
    if (message.role === "tool" && turns.length) return; // shown with its call
    if (message.role !== "assistant") {
      turns.push([piece(message.role === "user" ? "user" : "system", words(message.role) || "?", said)]);
    } else if (index === messages.length - 1 && !calls.length) {
      thinking = thought ? piece("thinking", "Thinking", thought) : null;
      answer = said ? piece("answer", "Answer", said, verdict(sample.score)) : null;
    } else {
      const shown = [];
      if (thought) shown.push(piece("thinking", "Thinking", thought));
      if (said) shown.push(piece("said", "Said", said));
      turns.push([...shown, ...answered(calls, resultsAfter(messages, index))]);
    }
  });
  return { turns, thinking, answer };
}

function resultsAfter(messages, index) {
  const end = messages.findIndex((message, place) => place > index && message.role !== "tool");
  return messages.slice(index + 1, end < 0 ? undefined : end);
}

// Each call and its result, which is known by the call's id; ids may come again in later turns.
function answered(calls, results) {
  const left = [...results];
  const result = (message) => piece("result", "Result", content(message));
  const pairs = calls.flatMap((made) => {
    const place = left.findIndex((message) => message.tool_call_id === made?.id);
    return place < 0 ? [call(made)] : [call(made), result(left.splice(place, 1)[0])];
  });
  return [...pairs, ...left.map(result)];
}

function head(sample) {
  const parts = isObject(sample.parts) ? Object.entries(sample.parts) : [];
  return h("header", {},
    h("h4", {}, `Step ${words(sample.step)}`, h("span", { class: `mark ${verdict(sample.score)}` }, `score ${figure(sample.score)}`)),
    h("p", {}, `reward ${figure(sample.reward)} · ${figure(sample.tokens, 0)} tokens`),
    parts.length ? h("p", {}, parts.map(([name, value]) => `${name} ${figure(value)}`).join(" · ")) : null);
}

let domain = "";
let task = 0;
let column = 0;

const list = h("div", { class: "list", role: "group", "aria-label": "Tasks" });
const stage = h("div", { class: "stage" });
const domains = [...new Set(tasks.map((each) => each.domain))];
const filter = h("select", { id: "domain", onchange: () => { domain = filter.value; showList(true); } },
  h("option", { value: "" }, `all (${tasks.length})`),
  domains.map((name) => h("option", { value: name }, name)));

function dots(samples) {
  const scores = samples.map((sample) => figure(sample.score));
  return h("span", { class: "dots", role: "img", "aria-label": `scores: ${scores.join(", ")}` },
    samples.map((sample) => h("span", { class: `dot ${verdict(sample.score)}` })));
}

function showList(choose = false) {
  const shown = tasks.map((each, index) => [each, index]).filter(([each]) => !domain || each.domain === domain);
  if (choose && !shown.some(([, index]) => index === task)) { task = shown[0][1]; column = 0; showTask(); }
  list.replaceChildren(...shown.map(([each, index]) =>
    h("button", { type: "button", "aria-pressed": String(index === task), onclick: () => { task = index; column = 0; showTask(); showList(); list.querySelector("[aria-pressed=true]").focus(); } },
      h("span", {}, each.task), dots(each.steps))));
}

function showTask() {
  const { task: name, domain: kind, steps: samples } = tasks[task];
  const from = sharedPrefix(samples);
  const talks = samples.map((sample) => conversation(sample, from));
  const turns = Math.max(...talks.map((talk) => talk.turns.length));
  const thinks = talks.some((talk) => talk.thinking);
  const rows = 1 + turns + (thinks ? 1 : 0) + 1;
  const columns = h("div", { class: "columns", tabindex: "0", role: "region", "aria-label": "Samples by step" },
    samples.map((sample, index) => {
      const talk = talks[index];
      const cell = (...inside) => h("div", { class: "cell" }, inside);
      const made = h("article", { class: "column", "aria-label": `Step ${words(sample.step)}`, onclick: () => choose(index, false) },
        head(sample),
        Array.from({ length: turns }, (_, turn) => cell(...(talk.turns[turn] ?? []))),
        thinks ? cell(talk.thinking) : null,
        cell(talk.answer ?? piece("answer", "No answer", "", verdict(sample.score))));
      made.style.gridRow = `span ${rows}`;
      return made;
    }));
  columns.style.gridTemplateRows = `repeat(${rows}, auto)`;
  stage.replaceChildren(
    h("h3", {}, `${name} (${kind})`),
    h("div", { class: "shared" }, samples[0].messages.slice(0, from).map((message) =>
      piece(message.role === "user" ? "user" : "system", message.role === "user" ? "Prompt" : words(message.role), content(message)))),
    h("div", { class: "steps", role: "group", "aria-label": "Steps" },
      samples.map((sample, index) => h("button", { type: "button", onclick: () => choose(index) }, words(sample.step))),
      h("span", { class: "dim" }, h("kbd", {}, "←"), " ", h("kbd", {}, "→"), " move through the steps")),
    columns);
  choose(column);
}

function choose(index, scroll = true) {
  column = index;
  const mark = (element, place) =>
    place === index ? element.setAttribute("aria-current", "step") : element.removeAttribute("aria-current");
  stage.querySelectorAll(".steps button").forEach(mark);
  const all = stage.querySelectorAll(".column");
  all.forEach(mark);
  if (!scroll) return;
  // The column into view, without moving the page.
  const row = stage.querySelector(".columns");
  const left = all[index].offsetLeft - row.offsetLeft;
  if (left < row.scrollLeft) row.scrollLeft = left;
  else row.scrollLeft = Math.max(row.scrollLeft, left + all[index].offsetWidth - row.clientWidth);
}

document.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (event.target.closest("select, input, textarea, .wide")) return;
  const next = column + step;
  event.preventDefault();
  if (next >= 0 && next < tasks[task].steps.length) choose(next);
});

viewer.replaceChildren(
  h("div", { class: "tasks" }, h("label", { for: "domain" }, "Domain", filter), list),
  stage);
showList();
showTask();
