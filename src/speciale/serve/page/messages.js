// The elements of one message of the thread. `update()` brings them up to the node's present state,
// touching only what changed: a stream calls it many times a second. Past the given deadline it
// leaves the rest of a long text for the next call, and returns false.

import { copyText, h, icon, iconButton, setText, toast } from "./dom.js";
import { filterBadges, notices } from "./notices.js";
import { seconds, statistics } from "./prices.js";
import { renderMarkdown } from "./render.js";
import { toolCards } from "./tool_cards.js";

const copyButton = (text) =>
  iconButton("copy", "Copy", async () => {
    await copyText(text());
    toast("Copied");
  });

// "‹ 2 / 3 ›" between the versions of a message; nothing where there is one.
function versions(node, siblings, onShow) {
  if (siblings.length < 2) return [];
  const place = siblings.indexOf(node);
  const step = (name, label, to) =>
    iconButton(name, label, () => onShow(siblings[to].id), { disabled: !siblings[to] });
  return [
    step("left", "Previous version", place - 1),
    h("span", { class: "version" }, `${place + 1} / ${siblings.length}`),
    step("right", "Next version", place + 1),
  ];
}

// `context()` gives {siblings, busy}; `actions` are {edit, show}.
export function userMessage(node, context, actions) {
  const text = h("div", { class: "bubble" }, node.content);
  const footer = h("footer", {});
  const element = h("article", { class: "message user", "aria-label": "You" }, text, footer);
  let shown = "";

  function startEdit() {
    const box = h("textarea", { class: "edit-box", "aria-label": "Edit the message" });
    box.value = node.content;
    const cancel = h("button", { type: "button" }, "Cancel");
    const form = h(
      "form",
      { class: "edit-form" },
      box,
      h("div", { class: "row end" }, cancel, h("button", { class: "primary" }, "Send")),
    );
    const stop = () => form.replaceWith(text, footer);
    cancel.addEventListener("click", stop);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (!box.value.trim() || context().busy) return;
      stop();
      actions.edit(node, box.value);
    });
    box.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        form.requestSubmit();
      } else if (event.key === "Escape") {
        event.stopPropagation();
        stop();
      }
    });
    text.replaceWith(form);
    footer.remove();
    box.focus();
  }

  function update() {
    const { siblings, busy } = context();
    const state = JSON.stringify([siblings.map((sibling) => sibling.id), busy]);
    if (state === shown) return true;
    shown = state;
    footer.replaceChildren(
      ...versions(node, siblings, actions.show),
      copyButton(() => node.content),
      iconButton("edit", "Edit", startEdit, { disabled: busy }),
    );
    return true;
  }
  return { element, update };
}

function thinkingLabel(node, streaming, now) {
  if (streaming && !node.thinkingDone) return `Thinking… ${seconds(now)}`;
  return node.thinkingMs >= 50 ? `Thought for ${seconds(node.thinkingMs)}` : "Thoughts";
}

// `context()` gives {siblings, busy, results, pricing}; `actions` are {regenerate, show, results}.
export function assistantMessage(node, context, actions) {
  const summary = h("span", {});
  const reasoning = h("div", { class: "reasoning markdown" });
  const fold = h("summary", {}, icon("right"), summary);
  const details = h("details", { class: "thinking" }, fold, reasoning);
  const dots = h("div", { class: "dots", "aria-label": "Waiting" }, h("i"), h("i"), h("i"));
  const answer = h("div", { class: "markdown answer" });
  const cards = h("div", { class: "cards" });
  const below = h("div", { class: "notices" });
  const badges = h("span", { class: "badges" });
  const buttons = h("span", { class: "buttons" });
  const stats = h("span", { class: "stats" });
  const element = h(
    "article",
    { class: "message assistant", "aria-label": "Answer" },
    details,
    dots,
    answer,
    cards,
    below,
    h("footer", {}, buttons, badges, stats),
  );
  const shown = {}; // part -> JSON of what it shows
  let thinkingSince = null;

  function changed(part, ...state) {
    const text = JSON.stringify(state);
    if (shown[part] === text) return false;
    shown[part] = text;
    return true;
  }

  function showThinking(streaming, deadline) {
    details.hidden = !node.reasoning;
    if (!node.reasoning) return true;
    thinkingSince ??= performance.now();
    setText(summary, thinkingLabel(node, streaming, performance.now() - thinkingSince));
    details.classList.toggle("live", streaming && !node.thinkingDone);
    return !details.open || renderMarkdown(reasoning, node.reasoning, deadline);
  }
  details.addEventListener("toggle", () => {
    if (details.open) renderMarkdown(reasoning, node.reasoning ?? "");
  });

  function update(deadline) {
    const { siblings, busy, results, pricing } = context();
    const streaming = node.state === "waiting" || node.state === "streaming";
    element.setAttribute("aria-busy", String(streaming));
    element.classList.toggle("streaming", streaming);
    const thoughts = showThinking(streaming, deadline);
    dots.hidden = node.state !== "waiting";
    answer.hidden = !node.content;
    const complete = renderMarkdown(answer, node.content, deadline);
    if (changed("cards", node.calls, results, node.state)) {
      cards.replaceChildren(...toolCards(node, results, actions.results));
    }
    if (changed("notices", node.state, node.error, node.finish, node.filters)) {
      below.replaceChildren(...notices(node));
    }
    if (changed("badges", node.promptFilters, node.filters)) {
      const found = [
        ...filterBadges(node.promptFilters, "prompt"),
        ...filterBadges(node.filters, "answer"),
      ];
      badges.replaceChildren(...found);
    }
    if (changed("buttons", siblings.map((sibling) => sibling.id), busy, streaming)) {
      const all = [
        ...versions(node, siblings, actions.show),
        ...(node.content ? [copyButton(() => node.content)] : []),
        iconButton("again", "Regenerate", () => actions.regenerate(node), { disabled: busy }),
      ];
      buttons.replaceChildren(...(streaming ? [] : all));
    }
    setText(stats, streaming ? "" : statistics(node, pricing));
    return thoughts && complete;
  }
  // The clock of "Thinking…" goes on between chunks.
  const tick = () => showThinking(node.state === "waiting" || node.state === "streaming");
  return { element, update, tick };
}
