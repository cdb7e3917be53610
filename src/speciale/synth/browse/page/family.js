// A family: what it is about, its tasks, schema, rows, tools, files.

import { bars } from "./charts.js";
import { ask, at, code, facts, figure, h, json, mark, pager, place, table } from "./dom.js";

export async function family(id) {
  const told = await ask(at(id));
  const about = told.about ?? {};
  return {
    title: id,
    trail: [[id]],
    content: [
      h("h1", {}, id),
      about.about ? h("p", {}, about.about) : null,
      told.reason ? h("p", { class: "error" }, told.reason) : null,
      facts([
        ["kind", about.kind], ["category", about.category], ["made from", about.source],
        ["made by", about.generator && `${about.generator}, speciale ${about.speciale}, seed ${about.seed}`],
        ["work item", h("code", {}, json(told.item))],
      ]),
      tasks(id, told.tasks),
      told.database ? await data(id) : null,
      told.schema ? fold("Schema", code(told.schema)) : null,
      tools(told),
      files(id, told.files),
    ],
  };
}

const fold = (name, ...inside) => h("details", {}, h("summary", {}, name), inside);

export function state(task) {
  if (task.accepted) return mark("accepted", "good");
  if (!task.judged) return mark("not judged");
  return mark(task.gate ? `gate ${task.gate}` : "refused", "bad");
}

function tasks(id, all) {
  if (!all.length) return null;
  const columns = [
    { name: "Task" }, { name: "Prompt", class: "clip" }, { name: "Level", class: "number" },
    { name: "Question", class: "name" }, { name: "Calls", class: "number" },
    { name: "Space, log10", class: "number" }, { name: "Pass rate", class: "number" },
    { name: "Nearest", class: "name" }, { name: "State" },
  ];
  const rows = all.map((each) => [
    h("a", { href: place(id, each.number) }, each.number),
    h("span", { class: "two-lines" }, each.accepted || !each.reason ? each.prompt : each.reason),
    `${each.level}`, each.pattern, figure(each.calls), figure(each.space), figure(each.pass_rate, 2),
    each.nearest ? near(each) : "", state(each),
  ]);
  const measured = all.filter((each) => each.calls !== null && each.calls !== undefined);
  const chart = (name, key) => bars(name, measured.map((each) => [
    `${each.number}, level ${each.level}`, each[key] ?? 0, each.prompt.slice(0, 200),
  ]), { shown: (value) => figure(value) });
  return [
    h("h2", {}, "Tasks"),
    table(columns, rows, "Tasks"),
    measured.length
      ? h("div", { class: "charts" }, chart("Calls of the solution", "calls"), chart("Search space, log10", "space"))
      : null,
  ];
}

export function near(task) {
  const [other, number] = task.nearest.split("/");
  return h("span", {}, h("a", { href: place(other, number) }, task.nearest), ` ${figure(task.jaccard, 2)}`);
}

async function data(id) {
  const rows = h("div", {});
  const failed = (error) => rows.replaceChildren(h("p", { class: "error" }, error.message));
  const show = async (name, first) => {
    try {
      const told = await ask(at(id, "rows"), { table: name, first });
      const number = told.columns.map((_, index) => told.rows.every((row) => typeof row[index] === "number"));
      rows.replaceChildren(
        pager(told.first, told.page, told.count, (next) => show(name, next), `rows of ${name}`),
        table(
          told.columns.map((column, index) => ({ name: column, class: number[index] ? "number" : "" })),
          told.rows.map((row) => row.map((cell) => cell === null ? mark("null") : `${cell}`)),
          `Rows of ${name}`,
        ),
      );
    } catch (error) {
      failed(error);
    }
  };
  let tables = [];
  try {
    ({ tables } = await ask(at(id, "rows")));
  } catch (error) {
    failed(error);
  }
  const choice = h("select", { "aria-label": "Table", onchange: () => show(choice.value, 0) },
    tables.map((each) => h("option", { value: each.name }, `${each.name} (${each.rows.toLocaleString("en")})`)));
  if (tables.length) await show(tables[0].name, 0);
  return [h("h2", {}, "Data"), tables.length ? choice : null, rows];
}

function tools(told) {
  if (!told.source) return null;
  return [
    h("h2", {}, `Tools${told.tools.length ? ` (${told.tools.length})` : ""}`),
    told.tools_fault ? h("p", { class: "error" }, told.tools_fault) : null,
    told.tools.map((tool) => {
      const names = Object.keys(tool.parameters?.properties ?? {});
      const head = [h("code", {}, `${tool.name}(${names.join(", ")})`), ` — ${tool.description ?? ""}`];
      return h("details", {}, h("summary", {}, head),
        h("div", { class: "split" },
          h("div", {}, h("h3", {}, "Source"), code(tool.source ?? "")),
          h("div", {}, h("h3", {}, "Parameters"), code(json(tool.parameters, 2)))));
    }),
    fold("tools.py, whole", code(told.source)),
  ];
}

function files(id, all) {
  const own = all.filter((each) => !["tools.py", "schema.sql", "data.sqlite"].includes(each.path));
  if (!own.length) return null;
  const open = async (event, each) => {
    const details = event.currentTarget;
    if (!details.open || details.dataset.read) return;
    details.dataset.read = "yes";
    try {
      const told = await ask(at(id, "file"), { path: each.path });
      details.append(code(told.clipped ? `${told.text}\n…` : told.text));
    } catch (error) {
      details.append(h("p", { class: "error" }, error.message));
    }
  };
  return [
    h("h2", {}, "Files"),
    own.map((each) => h("details", { ontoggle: (event) => open(event, each) },
      h("summary", {}, h("code", {}, each.path), ` ${each.bytes.toLocaleString("en")} bytes`))),
  ];
}
