// The server's OpenAI-compatible API: models, and a chat completion read piece by piece.
// A stream is server-sent events: "data: {json}" lines, ": comment" lines, "data: [DONE]" last.

const BASE = new URL("v1/", document.baseURI);

// What the server, or the way to it, answered instead. `retryAfter` is in seconds, or null.
export class ApiError extends Error {
  constructor(message, { status = 0, code = null, type = null, retryAfter = null, filter = null }) {
    super(message);
    Object.assign(this, { status, code, type, retryAfter, filter });
  }
}

function headers(key) {
  const all = { "Content-Type": "application/json" };
  if (key) all.Authorization = `Bearer ${key}`;
  return all;
}

function errorOf(body, status, retryAfter, fallback) {
  const error = body?.error ?? body?.detail ?? {};
  const message = typeof error === "string" ? error : error.message;
  return new ApiError(typeof message === "string" && message ? message : fallback, {
    status,
    code: error.code ?? null,
    type: error.type ?? null,
    retryAfter,
    filter: error.innererror?.content_filter_result ?? null,
  });
}

async function request(path, options) {
  let response;
  try {
    response = await fetch(new URL(path, BASE), { credentials: "omit", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server cannot be reached: is it running?", {});
  }
  if (response.ok) return response;
  const text = await response.text();
  let body = null;
  try {
    body = JSON.parse(text);
  } catch {
    // A proxy's own page, perhaps: the status must do.
  }
  const after = Number.parseFloat(response.headers.get("Retry-After") ?? "");
  const fallback = `The server answered ${response.status} ${response.statusText}`.trim() + ".";
  throw errorOf(body, response.status, Number.isFinite(after) ? after : null, fallback);
}

// [{id, pricing?}, ...]
export async function listModels(key) {
  const response = await request("models", { headers: headers(key) });
  const { data } = await response.json();
  return Array.isArray(data) ? data.filter((model) => typeof model?.id === "string") : [];
}

// The payloads of a byte stream's events, comments left out.
export async function* eventData(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  let data = [];
  try {
    for (;;) {
      const { value, done } = await reader.read();
      buffer += done ? "\n\n" : value;
      // A "\r" at the very end may be half of "\r\n": it waits for what follows.
      const lines = buffer.split(/\r\n|\n|\r(?!$)/);
      buffer = lines.pop();
      for (const line of lines) {
        if (line.startsWith("data:")) data.push(line.slice(line[5] === " " ? 6 : 5));
        else if (line === "" && data.length) {
          yield data.join("\n");
          data = [];
        }
      }
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

// Yields the chunks of a chat completion. Throws ApiError, or an AbortError once `signal` fires.
export async function* streamChat(body, key, signal) {
  const options = { method: "POST", headers: headers(key), body: JSON.stringify(body), signal };
  const response = await request("chat/completions", options);
  if (!(response.headers.get("Content-Type") ?? "").startsWith("text/event-stream")) {
    yield await response.json(); // a server that does not stream
    return;
  }
  let finished = false;
  try {
    for await (const data of eventData(response.body)) {
      if (data === "[DONE]") break;
      let chunk;
      try {
        chunk = JSON.parse(data);
      } catch {
        throw new ApiError("The server sent a line that is not JSON.", {});
      }
      if (chunk.error) throw errorOf(chunk, 0, null, "The server broke off the answer.");
      finished ||= chunk.choices?.some((choice) => choice.finish_reason) ?? false;
      yield chunk;
    }
  } catch (error) {
    if (error.name === "AbortError" || error instanceof ApiError || signal.aborted) throw error;
    throw new ApiError("The connection broke before the answer was complete.", {});
  }
  if (!finished) throw new ApiError("The connection ended before the answer was complete.", {});
}
