// The page: ties the thread, the composer, the settings and the history together. An answer goes
// on when the reader opens another conversation; each conversation has one answer at a time.

import { listModels } from "./api.js";
import { bindControls, showModels, showSystem } from "./controls.js";
import { addNode, newConversation, showBranch, toolResults } from "./conversation.js";
import { setText, toast } from "./dom.js";
import { loadConversation, saveConversation } from "./history.js";
import { bindKeys } from "./keys.js";
import { ready } from "./render.js";
import { apiKey, setSetting, settings } from "./settings.js";
import { createSidebar } from "./sidebar.js";
import { createThread } from "./thread.js";
import { requestBody, runTurn } from "./turn.js";

const SAVE_EVERY = 1000; // milliseconds, while an answer streams

const element = (id) => document.getElementById(id);
const input = element("input");
const announce = (text) => setText(element("status"), text);

let conversation = newConversation(settings.system);
let models = [];
const runs = new Map(); // conversation id -> {conversation, controller}
const isBusy = (id) => runs.has(id);

const thread = createThread(
  element("messages"),
  element("scroller"),
  element("jump"),
  () => ({
    conversation,
    busy: isBusy(conversation.id),
    pricing: (node) => models.find(({ id }) => id === node.model)?.pricing,
  }),
  {
    edit(node, text) {
      addNode(conversation, node.parent, { role: "user", content: text });
      answer();
    },
    regenerate(node) {
      conversation.leaf = node.parent;
      answer();
    },
    show(id) {
      showBranch(conversation, id);
      saveConversation(conversation);
      thread.show();
    },
    results(node, entries) {
      if (isBusy(conversation.id)) return;
      conversation.leaf = node.id;
      const entered = new Map(entries.map(({ callId, content }) => [callId, content]));
      for (const { id } of node.calls) {
        addNode(conversation, conversation.leaf, {
          role: "tool",
          callId: id,
          content: entered.get(id) ?? "",
        });
      }
      answer();
    },
  },
);

const sidebar = createSidebar(() => conversation, isBusy, {
  open: openConversation,
  renamed(id, title) {
    for (const held of [conversation, runs.get(id)?.conversation]) {
      if (held?.id === id) held.title = title;
    }
    showState();
  },
  deleted(id) {
    if (id === conversation.id) startNew();
  },
});

// --- conversations ----------------------------------------------------------------------------

function place(id) {
  history.replaceState(null, "", id ? `#${id}` : location.pathname + location.search);
}

function showState() {
  const empty = conversation.leaf === null;
  document.body.classList.toggle("empty", empty);
  setText(element("title"), conversation.title || "New conversation");
  const busy = isBusy(conversation.id);
  element("send").hidden = busy;
  element("stop").hidden = !busy;
  showSendable();
}

function showSendable() {
  element("send").disabled = !input.value.trim() || isBusy(conversation.id);
}

function show() {
  thread.show();
  thread.follow();
  showState();
  sidebar.refresh();
}

function startNew() {
  conversation = newConversation(settings.system);
  place(null);
  show();
  closeSidebar();
  focusInput();
}

async function openConversation(id) {
  const found = runs.get(id)?.conversation ?? (await loadConversation(id));
  if (!found) {
    place(null);
    return;
  }
  conversation = found;
  setSetting("system", found.system ?? "");
  showSystem(settings.system);
  place(id);
  show();
  closeSidebar();
}

// --- asking -----------------------------------------------------------------------------------

// Answers the end of the shown branch.
async function answer() {
  const held = conversation; // another may be shown before this ends
  if (isBusy(held.id)) return;
  held.system = settings.system;
  const body = requestBody(held, held.leaf, settings);
  const node = addNode(held, held.leaf, { role: "assistant", model: settings.model });
  const controller = new AbortController();
  runs.set(held.id, { conversation: held, controller });
  place(held.id);
  let saved = { at: 0, state: null };
  const onUpdate = () => {
    if (held === conversation) thread.changed(node);
    if (performance.now() - saved.at < SAVE_EVERY && node.state === saved.state) return;
    saved = { at: performance.now(), state: node.state };
    saveConversation(held);
  };
  show();
  announce(settings.thinking ? "Thinking" : "Answering");
  await runTurn({ node, body, key: apiKey(), signal: controller.signal, onUpdate });
  runs.delete(held.id);
  held.updated = Date.now();
  await saveConversation(held);
  if (held === conversation) {
    thread.show();
    showState();
  }
  const ends = { stopped: "Stopped", failed: "The answer failed" };
  announce(ends[node.state] ?? "The answer is complete");
  sidebar.refresh();
}

function send() {
  const text = input.value;
  if (!text.trim() || isBusy(conversation.id)) return;
  const last = conversation.nodes[conversation.leaf];
  if (last?.calls?.some(({ id }) => !(id in toolResults(conversation, last)))) {
    toast("The model waits for the results of its tool calls: send them first.");
    return;
  }
  addNode(conversation, conversation.leaf, { role: "user", content: text });
  input.value = "";
  fitInput();
  answer();
}

function stop() {
  runs.get(conversation.id)?.controller.abort();
}

async function refreshModels() {
  const banner = element("banner");
  try {
    models = await listModels(apiKey());
    banner.hidden = true;
  } catch (error) {
    models = [];
    const hint = error.status === 401 ? "Enter your API key in the settings." : error.message;
    setText(banner, hint);
    banner.hidden = false;
  }
  showModels(models);
  thread.show();
}

// --- the composer and the sidebar --------------------------------------------------------------

// On a phone it would bring up the keyboard unasked.
function focusInput() {
  if (matchMedia("(hover: hover)").matches) input.focus();
}

function fitInput() {
  input.style.height = "auto";
  input.style.height = `${Math.min(input.scrollHeight, 240)}px`;
}

function setSidebar(open) {
  document.body.classList.toggle("sidebar-open", open);
  element("open-sidebar").setAttribute("aria-expanded", String(open));
}

const closeSidebar = () => setSidebar(false);

element("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
input.addEventListener("input", () => {
  fitInput();
  showSendable();
});
element("stop").addEventListener("click", stop);
element("new").addEventListener("click", startNew);
element("open-sidebar").addEventListener("click", () => {
  setSidebar(!document.body.classList.contains("sidebar-open"));
});
element("backdrop").addEventListener("click", closeSidebar);
bindControls({
  onKey: refreshModels,
  onSystem(text) {
    setSetting("system", text);
    if (conversation.leaf !== null) {
      conversation.system = text;
      saveConversation(conversation);
    }
  },
});
bindKeys({ input, send, stop, startNew, closeSidebar });
addEventListener("pagehide", () => {
  for (const { conversation: held, controller } of runs.values()) {
    controller.abort();
    saveConversation(held);
  }
});

await ready;
await Promise.all([
  refreshModels(),
  location.hash.length > 1 ? openConversation(location.hash.slice(1)) : sidebar.refresh(),
]);
showState();
document.body.classList.add("ready");
focusInput();
