// What must be said beside an answer: filter findings, errors, an early end. Plain text throughout.

import { h, icon } from "./dom.js";

const NAMES = {
  hate: "hate",
  sexual: "sexual",
  violence: "violence",
  self_harm: "self-harm",
  jailbreak: "jailbreak",
  indirect_attack: "indirect attack",
  protected_material_text: "protected text",
  protected_material_code: "protected code",
  profanity: "profanity",
  custom_blocklists: "blocklist",
};

const nameOf = (category) => NAMES[category] ?? category.replaceAll("_", " ");

// [{category, grade, filtered}] of what is not safe. `grade` is a severity or "detected".
export function findings(results) {
  const found = [];
  for (const [category, result] of Object.entries(results ?? {})) {
    if (typeof result !== "object" || result === null) continue;
    if (category === "content_filter_error") {
      found.push({ category: "filter out of order", grade: "", filtered: false });
      continue;
    }
    const unsafe = result.filtered || result.detected || (result.severity ?? "safe") !== "safe";
    if (!unsafe) continue;
    const severe = result.severity && result.severity !== "safe";
    const grade = severe ? String(result.severity) : "detected";
    found.push({ category: nameOf(category), grade, filtered: result.filtered === true });
  }
  return found;
}

const describe = ({ category, grade }) => (grade ? `${category}: ${grade}` : category);

export function filterBadges(results, where) {
  return findings(results).map((finding) => {
    const action = finding.filtered ? "filtered" : "noted";
    return h(
      "span",
      { class: `badge${finding.filtered ? " filtered" : ""}`, title: `Content filter: ${action}` },
      `${where} · ${describe(finding)}`,
    );
  });
}

function notice(kind, title, text, ...more) {
  const symbol = { error: "warning", filter: "shield", info: "info" }[kind];
  return h(
    "div",
    { class: `notice ${kind}`, role: kind === "info" ? "note" : "alert" },
    icon(symbol),
    h("div", {}, h("strong", {}, title), text ? h("p", {}, text) : null, ...more),
  );
}

function filterNotice(title, results, text) {
  const reasons = findings(results).filter((finding) => finding.filtered);
  const because = reasons.length ? `Category ${reasons.map(describe).join(", ")}. ` : "";
  return notice("filter", title, because + text);
}

const ERRORS = {
  401: "The API key is missing or wrong",
  402: "The balance is used up",
  404: "There is no such model",
  413: "The conversation is too long",
  429: "Too many requests",
  503: "The server is overloaded",
};

function errorNotice({ message, status, code, retryAfter, filter }) {
  if (code === "content_filter") {
    return filterNotice("Your message was stopped by the content filter", filter, message);
  }
  const title = ERRORS[status] ?? (status ? `The server answered ${status}` : "No answer");
  const wait = Number.isFinite(retryAfter) ? ` Try again in ${Math.ceil(retryAfter)} s.` : "";
  return notice("error", title, message + wait);
}

// The notices of an assistant's node.
export function notices(node) {
  if (node.state === "failed" && node.error) return [errorNotice(node.error)];
  if (node.state === "stopped") return [notice("info", "Stopped", "")];
  if (node.state !== "done" && node.state !== undefined) return [];
  switch (node.finish) {
    case "content_filter": {
      const text = node.withdrawn
        ? "What was shown of the answer has been removed."
        : "The rest of the answer is not shown.";
      return [filterNotice("The answer was stopped by the content filter", node.filters, text)];
    }
    case "length":
      return [notice("info", "Cut off", "The answer reached the limit of tokens.")];
    case "insufficient_system_resource":
      return [notice("error", "Broken off", "The server ran out of resources. Try again.")];
    default:
      return [];
  }
}
