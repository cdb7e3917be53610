// One answer of the model: the request it comes from, and its node growing with each chunk.
// A node's `state` is waiting, streaming, done, stopped or failed.

import { ApiError, streamChat } from "./api.js";
import { requestMessages } from "./conversation.js";

const NO_CALL = { id: "", name: "", arguments: "" };
const MAX_CALLS = 1000; // of one answer: an index from outside must not make a list without end
const SEVERITY = ["safe", "low", "medium", "high"];

// The request's body; `settings` is what controls.js reads, where null means the server's default.
export function requestBody(conversation, leaf, settings) {
  const body = {
    model: settings.model,
    messages: requestMessages(conversation, leaf),
    thinking: { type: settings.thinking ? "enabled" : "disabled" },
    stream: true,
    stream_options: { include_usage: true },
  };
  for (const name of ["temperature", "top_p", "max_tokens", "seed", "stop", "tools"]) {
    if (settings[name] !== null && settings[name] !== undefined) body[name] = settings[name];
  }
  return body;
}

// Filter results of many chunks: the worst of each category stays.
export function mergeFilters(known, results) {
  const merged = { ...known };
  for (const [category, result] of Object.entries(results ?? {})) {
    if (typeof result !== "object" || result === null) continue;
    const before = merged[category] ?? {};
    const worse = Math.max(SEVERITY.indexOf(before.severity), SEVERITY.indexOf(result.severity));
    merged[category] = { ...before, ...result };
    if (worse >= 0) merged[category].severity = SEVERITY[worse];
    for (const flag of ["filtered", "detected"]) {
      if (before[flag] || result[flag]) merged[category][flag] = true;
    }
  }
  return merged;
}

function addCallDeltas(node, deltas) {
  node.calls ??= [];
  for (const delta of deltas) {
    const place = Math.min(delta.index ?? node.calls.length, MAX_CALLS - 1);
    const call = (node.calls[place] ??= { ...NO_CALL });
    if (delta.id) call.id = delta.id;
    call.name += delta.function?.name ?? "";
    call.arguments += delta.function?.arguments ?? "";
  }
  node.calls = Array.from(node.calls, (call) => call ?? { ...NO_CALL });
}

// `now` in milliseconds, as performance.now() has it; `clock` keeps when things began.
export function applyChunk(node, chunk, clock, now) {
  for (const { content_filter_results: results } of chunk.prompt_filter_results ?? []) {
    node.promptFilters = mergeFilters(node.promptFilters, results);
  }
  if (chunk.usage) node.usage = chunk.usage;
  for (const choice of chunk.choices ?? []) {
    if (choice.index) continue; // one answer is shown
    const delta = choice.delta ?? choice.message ?? {};
    if (delta.reasoning_content) {
      clock.thinking ??= now;
      node.reasoning = (node.reasoning ?? "") + delta.reasoning_content;
    }
    if (delta.content) node.content += delta.content;
    if (delta.tool_calls?.length) addCallDeltas(node, delta.tool_calls);
    if (delta.reasoning_content || delta.content || delta.tool_calls?.length) {
      clock.first ??= now;
      node.state = "streaming";
      if (clock.thinking !== undefined && !node.thinkingDone) {
        node.thinkingMs = now - clock.thinking;
        node.thinkingDone = !delta.reasoning_content;
      }
    }
    node.filters = mergeFilters(node.filters, choice.content_filter_results);
    if (choice.content_filter_offsets) clock.asynchronous = true;
    if (choice.finish_reason) node.finish = choice.finish_reason;
  }
  if (clock.first !== undefined) node.answerMs = now - clock.first;
}

// What is shown of an answer that the filter stopped: with the asynchronous filter, text was shown
// before it was vetted, so all of it goes.
function withdraw(node) {
  node.content = "";
  node.reasoning = "";
  node.withdrawn = true;
}

// Fills `node` until the answer ends; `onUpdate` is called after each change. Never throws.
export async function runTurn({ node, body, key, signal, onUpdate }) {
  const clock = {};
  node.state = "waiting";
  onUpdate();
  try {
    for await (const chunk of streamChat(body, key, signal)) {
      applyChunk(node, chunk, clock, performance.now());
      onUpdate();
    }
    node.state = "done";
    if (node.finish === "content_filter" && clock.asynchronous) withdraw(node);
  } catch (error) {
    node.state = signal.aborted ? "stopped" : "failed";
    if (!signal.aborted) node.error = describe(error);
  }
  node.thinkingDone = true;
  // A call whose arguments did not all arrive must not be answered.
  if (node.finish !== "tool_calls") delete node.calls;
  node.calls?.forEach((call, index) => (call.id ||= `call_${index}`));
  onUpdate();
}

function describe(error) {
  if (!(error instanceof ApiError)) return { message: `The page failed: ${error.message}` };
  const { message, status, code, retryAfter, filter } = error;
  return { message, status, code, retryAfter, filter };
}
