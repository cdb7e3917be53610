// The official Node client over every feature: node every_feature.mjs URL KEY
import assert from "node:assert/strict";
import OpenAI, { APIError } from "openai";

const [url, apiKey] = process.argv.slice(2);
const client = new OpenAI({ baseURL: url + "/v1", apiKey, maxRetries: 0 });
const ask = (content, more = {}) => ({
  model: "small",
  messages: [{ role: "user", content }],
  ...more,
});
const weather = {
  type: "function",
  function: {
    name: "weather",
    parameters: { type: "object", properties: { city: { type: "string" } } },
  },
};

const models = await client.models.list();
assert.deepEqual(models.data.map((m) => m.id), ["small", "small-thinks"]);
assert.equal((await client.models.retrieve("small")).id, "small");

const plain = await client.chat.completions.create(ask("plain"));
assert.equal(plain.choices[0].message.content, "Hello there, friend.");
assert.equal(plain.choices[0].finish_reason, "stop");
assert.equal(plain.usage.total_tokens, plain.usage.prompt_tokens + 3);

const thought = await client.chat.completions.create(
  ask("think", { thinking: { type: "enabled" } }),
);
assert.equal(thought.choices[0].message.reasoning_content, "Hm. ");
assert.equal(thought.choices[0].message.content, "Yes.");

let [reasoning, text, usage, order] = ["", "", null, []];
const stream = await client.chat.completions.create(
  ask("think", {
    model: "small-thinks",
    stream: true,
    stream_options: { include_usage: true },
  }),
);
for await (const chunk of stream) {
  usage = chunk.usage ?? usage;
  const delta = chunk.choices[0]?.delta ?? {};
  if (delta.reasoning_content) order.push("r");
  if (delta.content) order.push("c");
  reasoning += delta.reasoning_content ?? "";
  text += delta.content ?? "";
}
assert.deepEqual([reasoning, text, order.join("").replace(/(.)\1+/g, "$1")], ["Hm. ", "Yes.", "rc"]);
assert.equal(usage.completion_tokens, 3);

const called = await client.chat.completions.create(ask("call", { tools: [weather] }));
const [call] = called.choices[0].message.tool_calls;
assert.equal(called.choices[0].finish_reason, "tool_calls");
assert.deepEqual(JSON.parse(call.function.arguments), { city: "Paris" });
const after = await client.chat.completions.create({
  model: "small",
  tools: [weather],
  messages: [
    { role: "user", content: "call" },
    called.choices[0].message,
    { role: "tool", tool_call_id: call.id, content: "plain" },
  ],
});
assert.equal(after.choices[0].finish_reason, "tool_calls");

const runner = client.chat.completions.stream(ask("call", { tools: [weather] }));
const final = await runner.finalChatCompletion();
assert.equal(final.choices[0].message.tool_calls[0].function.name, "weather");

const several = await client.chat.completions.create(
  ask("plain", { n: 2, max_tokens: 1, logprobs: true, top_logprobs: 2, stop: ["x"], seed: 1 }),
);
assert.equal(several.choices.length, 2);
assert.equal(several.choices[1].finish_reason, "length");
assert.equal(several.choices[0].logprobs.content[0].top_logprobs.length, 2);

const prefix = await client.chat.completions.create({
  model: "small",
  messages: [
    { role: "user", content: "plain" },
    { role: "assistant", content: "So: ", prefix: true },
  ],
});
assert.equal(prefix.choices[0].message.content, "Hello there, friend.");

const json = await client.chat.completions.create(
  ask("json", { response_format: { type: "json_object" } }),
);
assert.deepEqual(JSON.parse(json.choices[0].message.content), { a: 1 });

const middle = await client.completions.create({ model: "small", prompt: "a", suffix: "b" });
assert.equal(middle.choices[0].text, "Hello there, friend.");
let streamed = "";
for await (const part of await client.completions.create({ model: "small", prompt: "a", stream: true }))
  streamed += part.choices[0].text;
assert.equal(streamed, "Hello there, friend.");

const left = await client.chat.completions.create(ask("long", { stream: true }));
for await (const chunk of left) {
  if (chunk.choices[0]?.delta.content) break; // leaving the loop aborts the request
}

const fails = async (status, code, request) => {
  const error = await request.then(() => null, (e) => e);
  assert(error instanceof APIError, `no error where ${status} is due`);
  assert.equal(error.status, status);
  assert.equal(error.code, code);
  return error;
};
await fails(404, "model_not_found", client.chat.completions.create({ ...ask("x"), model: "no" }));
await fails(422, "invalid_parameter", client.chat.completions.create(ask("x", { top_p: 7 })));
await fails(401, "invalid_api_key", new OpenAI({ baseURL: url + "/v1", apiKey: "sk-wrong", maxRetries: 0 }).models.list());
const refused = await fails(400, "content_filter", client.chat.completions.create(ask("say xyzzy")));
assert.equal(refused.error.innererror.code, "ResponsibleAIPolicyViolation");
const cut = await client.chat.completions.create(ask("filtered"));
assert.equal(cut.choices[0].finish_reason, "content_filter");
console.log("all features hold");
