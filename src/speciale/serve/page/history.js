// Conversations kept in this browser only: in IndexedDB, one record each and a short one to list.
// Where the browser bars IndexedDB (some private windows), they last as long as the page.

const NAMES = ["summaries", "conversations"];
let memory = null; // stands in for the database: {summaries: Map, conversations: Map}
let opening = null;

function open() {
  opening ??= new Promise((resolve) => {
    const inMemory = () => {
      memory = Object.fromEntries(NAMES.map((name) => [name, new Map()]));
      resolve(null);
    };
    try {
      const request = indexedDB.open("speciale", 1);
      request.onupgradeneeded = () => {
        for (const name of NAMES) request.result.createObjectStore(name, { keyPath: "id" });
      };
      request.onsuccess = () => resolve(request.result);
      request.onerror = inMemory;
    } catch {
      inMemory();
    }
  });
  return opening;
}

// Runs `work(stores)` in one transaction and returns the result of the request it returns, if any.
async function transaction(mode, work) {
  const database = await open();
  return new Promise((resolve, reject) => {
    const action = database.transaction(NAMES, mode);
    const request = work(Object.fromEntries(NAMES.map((name) => [name, action.objectStore(name)])));
    action.commit(); // at once: the page may be on its way out
    action.oncomplete = () => resolve(request?.result);
    action.onerror = action.onabort = () => reject(action.error);
  });
}

const summary = ({ id, title, updated }) => ({ id, title, updated });

export async function saveConversation(conversation) {
  await open();
  if (memory) {
    memory.summaries.set(conversation.id, summary(conversation));
    memory.conversations.set(conversation.id, structuredClone(conversation));
    return;
  }
  await transaction("readwrite", ({ summaries, conversations }) => {
    summaries.put(summary(conversation));
    conversations.put(conversation);
  });
}

export async function loadConversation(id) {
  await open();
  const found = memory
    ? structuredClone(memory.conversations.get(id))
    : await transaction("readonly", ({ conversations }) => conversations.get(id));
  for (const node of Object.values(found?.nodes ?? {})) {
    // Saved while it streamed, by a page that is gone.
    if (node.state !== "waiting" && node.state !== "streaming") continue;
    node.state = "stopped";
    delete node.calls; // their arguments may not be whole
  }
  return found ?? null;
}

// [{id, title, updated}], latest first.
export async function listConversations() {
  await open();
  const all = memory
    ? [...memory.summaries.values()]
    : await transaction("readonly", ({ summaries }) => summaries.getAll());
  return all.sort((a, b) => b.updated - a.updated);
}

export async function allConversations() {
  await open();
  if (memory) return structuredClone([...memory.conversations.values()]);
  return transaction("readonly", ({ conversations }) => conversations.getAll());
}

export async function deleteConversation(id) {
  await open();
  if (memory) {
    for (const name of NAMES) memory[name].delete(id);
    return;
  }
  await transaction("readwrite", (stores) => {
    for (const name of NAMES) stores[name].delete(id);
  });
}
