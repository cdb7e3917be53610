// The list of conversations: open, rename, delete with undo, export and import as one JSON file.

import { readConversation } from "./conversation.js";
import { h, iconButton, toast } from "./dom.js";
import {
  allConversations,
  deleteConversation,
  listConversations,
  loadConversation,
  saveConversation,
} from "./history.js";

const MAX_IMPORT = 50e6; // bytes
const element = (id) => document.getElementById(id);

// `current()` is the shown conversation; `isBusy(id)` whether an answer is on its way;
// `actions` are {open(id), renamed(id, title), deleted(id), restored(conversation)}.
export function createSidebar(current, isBusy, actions) {
  const list = element("conversations");

  async function rename(id, title) {
    const conversation = await loadConversation(id);
    if (!conversation || !title.trim()) return refresh();
    conversation.title = title.trim();
    await saveConversation(conversation);
    actions.renamed(id, conversation.title);
    return refresh();
  }

  function startRename(item, { id, title }) {
    const box = h("input", { class: "rename-box", "aria-label": "New name", maxlength: "200" });
    box.value = title;
    let done = false;
    const finish = (text) => {
      if (done) return;
      done = true;
      rename(id, text);
    };
    box.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.isComposing) finish(box.value);
      if (event.key === "Escape") {
        event.stopPropagation();
        finish("");
      }
    });
    box.addEventListener("blur", () => finish(box.value));
    item.replaceChildren(box);
    box.select();
  }

  async function remove(id) {
    const conversation = await loadConversation(id);
    await deleteConversation(id);
    await actions.deleted(id);
    await refresh();
    if (!conversation) return;
    toast("Conversation deleted", async () => {
      await saveConversation(conversation);
      await refresh();
    });
  }

  function itemOf(entry) {
    const shown = entry.id === current().id;
    const title = entry.title || "New conversation";
    const open = h(
      "button",
      { type: "button", class: "open", title, "aria-current": shown ? "page" : null },
      title,
    );
    open.addEventListener("click", () => actions.open(entry.id));
    const item = h("li", { class: shown ? "shown" : "" }, open);
    const disabled = isBusy(entry.id);
    if (disabled) item.append(h("span", { class: "busy", title: "Answering" }));
    item.append(
      iconButton("edit", `Rename ${title}`, () => startRename(item, entry)),
      iconButton("delete", `Delete ${title}`, () => remove(entry.id), { disabled }),
    );
    return item;
  }

  async function refresh() {
    const entries = await listConversations();
    list.replaceChildren(...entries.map(itemOf));
    element("no-conversations").hidden = entries.length > 0;
  }

  async function exportAll() {
    const data = { format: "speciale-conversations", version: 1 };
    data.conversations = await allConversations();
    const blob = new Blob([JSON.stringify(data, null, 1)], { type: "application/json" });
    const link = h("a", { href: URL.createObjectURL(blob), download: "conversations.json" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  async function importFile(file) {
    let found = [];
    try {
      if (file.size > MAX_IMPORT) throw new Error("it is larger than 50 MB");
      const data = JSON.parse(await file.text());
      if (!Array.isArray(data?.conversations)) throw new Error("it holds no conversations");
      found = data.conversations.map(readConversation).filter(Boolean);
      for (const conversation of found) await saveConversation(conversation);
    } catch (error) {
      toast(`${file.name} could not be imported: ${error.message}.`);
      return;
    }
    await refresh();
    toast(`${found.length} ${found.length === 1 ? "conversation" : "conversations"} imported`);
  }

  element("export").addEventListener("click", exportAll);
  element("import").addEventListener("click", () => element("import-file").click());
  element("import-file").addEventListener("change", async ({ target }) => {
    if (target.files[0]) await importFile(target.files[0]);
    target.value = ""; // so that the same file can be chosen again
  });
  return { refresh };
}
