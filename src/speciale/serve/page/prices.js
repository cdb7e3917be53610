// What an answer cost and how fast it came, from the usage figures of its last chunk.

// In USD, by the model's prices in USD per million tokens; null where those are not known.
export function cost(usage, pricing) {
  if (!usage || !pricing) return null;
  const hit = usage.prompt_cache_hit_tokens ?? 0;
  const miss = usage.prompt_cache_miss_tokens ?? (usage.prompt_tokens ?? 0) - hit;
  const parts = [
    [hit, pricing.prompt_cache_hit],
    [miss, pricing.prompt_cache_miss],
    [usage.completion_tokens ?? 0, pricing.completion],
  ];
  const sum = parts.reduce((total, [tokens, price]) => total + tokens * Number(price), 0);
  return Number.isFinite(sum) ? sum / 1e6 : null;
}

export function formatCost(usd) {
  if (usd === 0) return "$0";
  if (usd < 0.000001) return "< $0.000001";
  const digits = usd >= 1 ? 2 : Math.min(6, 1 - Math.floor(Math.log10(usd)));
  return `$${usd.toFixed(digits)}`;
}

const SHORTEST = 50; // milliseconds

export const seconds = (ms) => (ms < 59950 ? `${(ms / 1000).toFixed(1)} s` : minutes(ms));

function minutes(ms) {
  const whole = Math.round(ms / 1000);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

// "1,204 tokens in (1,024 cached) · 310 out · 41.2 tokens/s · $0.00021"
export function statistics(node, pricing) {
  const usage = node.usage;
  if (!usage) return "";
  const count = (n) => (n ?? 0).toLocaleString("en-US");
  const cached = usage.prompt_cache_hit_tokens;
  const parts = [
    `${count(usage.prompt_tokens)} tokens in` + (cached ? ` (${count(cached)} cached)` : ""),
    `${count(usage.completion_tokens)} out`,
  ];
  // The first token's time went into the prompt. An answer that came at once has no rate.
  if (usage.completion_tokens > 1 && node.answerMs >= SHORTEST) {
    const rate = ((usage.completion_tokens - 1) * 1000) / node.answerMs;
    parts.push(`${rate < 100 ? rate.toFixed(1) : Math.round(rate)} tokens/s`);
  }
  const usd = cost(usage, pricing);
  if (usd !== null) parts.push(formatCost(usd));
  return parts.join(" · ");
}
