// A tool call as a card: its name and arguments, and the result that the reader enters or entered.

import { h, icon } from "./dom.js";

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text; // still streaming, or not JSON at all
  }
}

function resultForm(node, waiting, onResults) {
  const send = h("button", { type: "submit", class: "primary" }, "Send results");
  const form = h("form", { class: "tool-form" }, send);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    onResults(node, waiting.map(({ call, box }) => ({ callId: call.id, content: box.value })));
  });
  return form;
}

// The cards of an assistant's calls. `results` maps a call's id to the text that was sent for it;
// `onResults(node, [{callId, content}])` is called once the reader sends those that are missing.
export function toolCards(node, results, onResults) {
  const waiting = [];
  const complete = node.state === "done" || node.state === undefined;
  const cards = (node.calls ?? []).map((call) => {
    const card = h(
      "section",
      { class: "tool-card", "aria-label": `Tool call ${call.name}` },
      h("header", {}, icon("tool"), h("span", { class: "tool-name" }, call.name || "…")),
      h("pre", { class: "tool-arguments", tabindex: "0" }, pretty(call.arguments)),
    );
    if (call.id in results) {
      card.append(
        h("div", { class: "tool-label" }, "Result"),
        h("pre", { class: "tool-result", tabindex: "0" }, results[call.id] || "(empty)"),
      );
    } else if (complete) {
      const box = h("textarea", {
        rows: "2",
        "aria-label": `Result of ${call.name}`,
        placeholder: "Enter the result of this call",
      });
      waiting.push({ call, box });
      card.append(box);
    }
    return card;
  });
  if (waiting.length) cards.push(resultForm(node, waiting, onResults));
  return cards;
}
