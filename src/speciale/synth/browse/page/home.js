// The store: figures, charts, and the list of families with its filters.

import { bars } from "./charts.js";
import { ask, figure, h, mark, pager, place, span, table } from "./dom.js";

const KINDS = { kept: "good", rejected: "bad", failed: "bad" };
// Kept while the page is open: who comes back from a family finds the list as it was.
const filters = { kind: "", category: "", state: "", level: "", pattern: "", gate: "", text: "", first: 0 };

export async function home() {
  const store = await ask("api/store");
  const list = h("div", {});
  const rate = store.judged ? `${Math.round((100 * store.accepted) / store.judged)}%` : "–";
  const tiles = [
    [store.families.toLocaleString("en"), "environments with accepted tasks"],
    [store.accepted.toLocaleString("en"), "accepted tasks"],
    [rate, `of ${store.judged.toLocaleString("en")} judged tasks accepted`],
    [store.duplicates.toLocaleString("en"), "near-duplicates refused"],
  ];
  await fill(list, store);
  return {
    title: store.name,
    trail: [],
    content: [
      h("h1", {}, store.name),
      store.troubles.map((trouble) => h("p", { class: "error" }, trouble)),
      h("div", { class: "tiles" }, tiles.map(([value, words]) =>
        h("div", { class: "tile" }, h("strong", {}, value), h("span", {}, words)))),
      h("div", { class: "charts" }, charts(store)),
      refusals(store),
      h("h2", {}, "Environments"),
      form(store, list),
      list,
    ],
  };
}

function charts(store) {
  const several = new Set(store.levels.map((each) => each.kind)).size > 1;
  const name = (each) => (several ? `${each.kind}, level ${each.level}` : `level ${each.level}`);
  const of = (measure) =>
    store.levels.filter((each) => each[measure] !== null).map((each) => [name(each), each[measure]]);
  const counted = (counts) => Object.entries(counts).sort((a, b) => b[1] - a[1]).slice(0, 14);
  const tenths = Object.entries(store.likeness).map(([tenth, count]) => [
    Number(tenth) >= 10 ? "1.0" : `${tenth / 10}–${(Number(tenth) + 1) / 10}`, count,
  ]);
  const all = [
    ["Tasks by category", counted(store.counts.category)],
    ["Tasks by kind of question", counted(store.counts.pattern).filter(([each]) => each)],
    ["Tasks by level", Object.entries(store.counts.level).map(([level, n]) => [`level ${level}`, n])],
    ["Calls of the solution, median", of("calls"), { shown: (value) => figure(value) }],
    ["Search space, median log10", of("space"), { shown: (value) => figure(value) }],
    ["Pass rate of the reference policy", of("pass_rate"), { shown: (value) => `${Math.round(100 * value)}%` }],
    ["Likeness to the nearest task (Jaccard)", tenths],
    ["Refused by gate", store.refused.map((r) => [`${r.gate} ${r.name}`, r.tasks]), { kind: "bad" }],
  ];
  return all.filter(([, rows]) => rows.length).map((given) => bars(...given));
}

function refusals(store) {
  const rows = store.refused.flatMap((each) =>
    each.reasons.map(([reason, times]) => [`${each.gate} ${each.name}`, reason, `${times}`]));
  for (const [reason, times] of store.without) rows.push(["no family", reason, `${times}`]);
  if (!rows.length) return null;
  const columns = [{ name: "Gate", class: "name" }, { name: "Reason" }, { name: "Times", class: "number" }];
  return h("details", {}, h("summary", {}, "Why tasks were refused"), table(columns, rows, "Reasons"));
}

function form(store, list) {
  const choice = (name, label, word = (value) => `${value}`) => {
    const options = store.values[name].map((value) =>
      h("option", { value, selected: `${value}` === filters[name] }, word(value)));
    return h("label", {}, label, h("select", { name }, h("option", { value: "" }, "all"), options));
  };
  const changed = (event) => {
    event.preventDefault();
    for (const [name, value] of new FormData(event.currentTarget)) filters[name] = value;
    filters.first = 0;
    fill(list, store);
  };
  const search = h("input", { type: "search", name: "text", placeholder: "in ids and prompts" });
  search.value = filters.text;
  return h("form", { class: "filters", onchange: changed, onsubmit: changed, role: "search" },
    choice("kind", "Kind"), choice("category", "Category"), choice("state", "State"),
    choice("level", "Level"), choice("pattern", "Question"),
    choice("gate", "Refused by", (gate) => `${gate} ${store.gates[gate] ?? ""}`),
    h("label", {}, "Text", search));
}

async function fill(list, store) {
  let told;
  try {
    told = await ask("api/families", filters);
  } catch (error) {
    list.replaceChildren(h("p", { class: "error" }, error.message));
    return;
  }
  const columns = [
    { name: "Environment", class: "name" }, { name: "Category", class: "name" }, { name: "About", class: "clip" },
    { name: "State" }, { name: "Tasks", class: "number" }, { name: "Refused", class: "number" },
    { name: "Levels", class: "number" }, { name: "Calls", class: "number" },
  ];
  const rows = told.families.map((each) => [
    h("a", { href: place(each.id) }, each.id), each.category ?? "",
    h("span", { class: "two-lines" }, each.reason ?? each.about ?? ""),
    mark(each.state, KINDS[each.state]), `${each.accepted}`, `${each.refused}`,
    span(each.levels), span(each.calls),
  ]);
  const go = (first) => {
    filters.first = first;
    fill(list, store);
  };
  list.replaceChildren(
    pager(told.first, told.page, told.count, go, "environments"),
    table(columns, rows, "Environments"),
  );
}

