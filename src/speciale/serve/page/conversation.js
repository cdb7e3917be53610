// A conversation is a tree of messages: editing or regenerating adds a sibling, and `leaf` names
// the end of the branch that is shown. Pure functions on plain data, which history.js stores as is.

export const newId = () => {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return "c" + Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
};

export function newConversation(system = "") {
  const now = Date.now();
  return { id: newId(), title: "", created: now, updated: now, system, nodes: {}, leaf: null };
}

// role: user | assistant | tool. The new node becomes the end of the shown branch.
export function addNode(conversation, parent, node) {
  const added = { id: newId(), parent, content: "", ...node };
  conversation.nodes[added.id] = added;
  conversation.leaf = added.id;
  conversation.updated = Date.now();
  if (!conversation.title && node.role === "user") conversation.title = titleOf(node.content);
  return added;
}

export function titleOf(text) {
  const line = text.trim().split(/\s+/).join(" ");
  return line.length > 60 ? line.slice(0, 59).trimEnd() + "…" : line;
}

// The shown branch, first message first.
export function branch(conversation, leaf = conversation.leaf) {
  const nodes = [];
  for (let id = leaf; id && conversation.nodes[id]; id = conversation.nodes[id].parent) {
    nodes.unshift(conversation.nodes[id]);
  }
  return nodes;
}

export function siblings(conversation, node) {
  return Object.values(conversation.nodes).filter(
    (other) => other.parent === node.parent && other.role === node.role,
  );
}

// Shows the branch through `id`, down to its latest end.
export function showBranch(conversation, id) {
  const latest = {};
  for (const node of Object.values(conversation.nodes)) latest[node.parent] = node.id;
  while (latest[id]) id = latest[id];
  conversation.leaf = id;
}

// The tool messages of the shown branch that answer an assistant's calls: {call id: text}.
export function toolResults(conversation, assistant) {
  const nodes = branch(conversation);
  const results = {};
  for (const node of nodes.slice(nodes.indexOf(assistant) + 1)) {
    if (node.role !== "tool") break;
    results[node.callId] = node.content;
  }
  return results;
}

// The request's messages up to and with `leaf`. Reasoning goes back only within the last user turn,
// where a tool loop needs it; earlier reasoning is never sent, nor is a message that the filter
// refused, or it would refuse all that follows.
export function requestMessages(conversation, leaf) {
  const nodes = branch(conversation, leaf);
  const lastUser = nodes.findLastIndex((node) => node.role === "user");
  const messages = [];
  if (conversation.system.trim()) messages.push({ role: "system", content: conversation.system });
  nodes.forEach((node, index) => {
    if (node.role === "tool") {
      messages.push({ role: "tool", tool_call_id: node.callId, content: node.content });
    } else if (node.role === "user") {
      if (nodes[index + 1]?.error?.code === "content_filter") return;
      messages.push({ role: "user", content: node.content });
    } else if (node.content || node.calls?.length) {
      const message = { role: "assistant", content: node.content };
      if (node.calls?.length) {
        message.tool_calls = node.calls.map(({ id, name, arguments: text }) => ({
          id,
          type: "function",
          function: { name, arguments: text },
        }));
      }
      if (index > lastUser && node.reasoning) message.reasoning_content = node.reasoning;
      messages.push(message);
    }
  });
  return messages;
}

const TEXTS = ["role", "content", "reasoning", "callId", "finish", "state", "model"];

// A conversation of an imported file: known fields of the right types only. Null if it is none.
export function readConversation(data) {
  if (typeof data?.nodes !== "object" || data.nodes === null) return null;
  const conversation = newConversation(typeof data.system === "string" ? data.system : "");
  const ids = new Map();
  for (const [id, node] of Object.entries(data.nodes)) {
    if (!["user", "assistant", "tool"].includes(node?.role)) return null;
    ids.set(id, newId());
  }
  for (const [id, node] of Object.entries(data.nodes)) {
    const copy = { content: "" };
    for (const name of TEXTS) if (typeof node[name] === "string") copy[name] = node[name];
    copy.id = ids.get(id);
    copy.parent = ids.get(node.parent) ?? null;
    if (Array.isArray(node.calls)) {
      copy.calls = node.calls.map((call) => ({
        id: String(call?.id ?? ""),
        name: String(call?.name ?? ""),
        arguments: String(call?.arguments ?? ""),
      }));
    }
    for (const name of ["thinkingMs", "answerMs"]) {
      if (Number.isFinite(node[name])) copy[name] = node[name];
    }
    conversation.nodes[copy.id] = copy;
  }
  for (const start of Object.values(conversation.nodes)) {
    const seen = new Set();
    for (let node = start; node; node = conversation.nodes[node.parent]) {
      if (seen.has(node.id)) return null; // a ring has no first message
      seen.add(node.id);
    }
  }
  conversation.leaf = ids.get(data.leaf) ?? Object.keys(conversation.nodes).at(-1) ?? null;
  conversation.title = typeof data.title === "string" ? titleOf(data.title) : "";
  if (Number.isFinite(data.updated)) conversation.updated = data.updated;
  return conversation;
}
