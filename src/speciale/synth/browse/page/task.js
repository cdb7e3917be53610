// A task: prompt, answer, the solution's calls step by step, code, and the gates with evidence.

import { ask, at, code, facts, figure, h, json, mark, place } from "./dom.js";

export async function task(id, number) {
  const told = await ask(at(id, "tasks", number));
  const { about } = told;
  const place_ = told.numbers.indexOf(number);
  const link = (step, words) => {
    const other = told.numbers[place_ + step];
    return other ? h("a", { href: place(id, other) }, `${words} ${other}`) : null;
  };
  const judged = told.gates.length > 0;
  return {
    title: `${id}/${number}`,
    trail: [[id, place(id)], [number]],
    content: [
      h("h1", {}, `${id}/${number}`),
      h("p", {}, told.accepted ? mark("accepted", "good") : mark(judged ? "refused" : "not judged", judged ? "bad" : ""),
        " ", link(-1, "‹"), " ", link(1, "›")),
      h("h2", {}, "Prompt"),
      h("pre", { class: "prompt" }, about.prompt),
      facts([
        ["level", `${about.level}`], ["question", about.pattern],
        ["harder than", about.harder_than && h("a", { href: place(id, about.harder_than) }, about.harder_than)],
        ["answer", told.answer === null ? null : h("code", {}, json(told.answer))],
        ["answer’s schema", Object.keys(about.answer_schema).length ? h("code", {}, json(about.answer_schema)) : null],
        ["metadata", Object.keys(about.metadata).length ? h("code", {}, json(about.metadata)) : null],
      ]),
      gates(told.gates),
      steps(told),
      h("div", { class: "split" }, told.files.map((file) =>
        h("section", {}, h("h2", {}, file.name), code(file.text)))),
    ],
  };
}

function steps(told) {
  if (!told.trace.length) return null;
  const shown = told.trace.map((call) => {
    const given = Object.entries(call.arguments ?? {}).map(([name, value]) => `${name}=${json(value)}`);
    return h("li", {},
      h("div", { class: "call" }, h("b", {}, call.name ?? ""), `(${given.join(", ")})`),
      code(typeof call.result === "string" ? call.result : json(call.result), "wrap"));
  });
  const left = (told.calls ?? 0) - shown.length;
  return [
    h("h2", {}, "The solution’s calls"),
    h("ol", { class: "steps" }, shown),
    left > 0 ? h("p", { class: "hint" }, `and ${figure(left)} more`) : null,
  ];
}

function gates(all) {
  if (!all.length) return h("p", { class: "error" }, "These bytes were not judged: run an audit.");
  return [
    h("h2", {}, "Gates"),
    all.map((gate) => h("details", { open: !gate.passed },
      h("summary", {}, mark(gate.passed ? "passed" : "refused", gate.passed ? "good" : "bad"),
        ` ${gate.number} ${gate.name}`, gate.reason ? ` — ${gate.reason}` : ""),
      evidence(gate))),
  ];
}

function evidence(gate) {
  const pairs = Object.entries(gate.evidence);
  if (!pairs.length) return h("p", { class: "hint" }, "no evidence");
  const nearest = gate.number === 7 && typeof gate.evidence.nearest === "string" ? gate.evidence.nearest : null;
  return [
    nearest ? h("p", {}, "nearest: ", h("a", { href: place(...nearest.split("/")) }, nearest)) : null,
    code(json(gate.evidence, 2), "wrap"),
  ];
}
