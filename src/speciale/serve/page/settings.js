// What the reader set, kept in this browser. The API key stays apart: for this tab only, unless the
// reader asks to remember it.

const DEFAULTS = {
  model: null,
  thinking: true,
  system: "",
  temperature: null,
  top_p: null,
  max_tokens: null,
  seed: null,
  stop: null,
  tools: null,
};

function stored(storage, name) {
  try {
    return globalThis[storage].getItem(`speciale.${name}`);
  } catch {
    return null; // barred: settings last as long as the page
  }
}

function store(storage, name, value) {
  try {
    if (value === null) globalThis[storage].removeItem(`speciale.${name}`);
    else globalThis[storage].setItem(`speciale.${name}`, value);
  } catch {
    // Barred or full: as above.
  }
}

function readSettings() {
  let saved = null;
  try {
    saved = JSON.parse(stored("localStorage", "settings") ?? "{}");
  } catch {
    // Damaged: the defaults do.
  }
  const known = Object.keys(DEFAULTS).filter((name) => saved?.[name] !== undefined);
  return { ...DEFAULTS, ...Object.fromEntries(known.map((name) => [name, saved[name]])) };
}

export const settings = readSettings();

export function setSetting(name, value) {
  settings[name] = value;
  store("localStorage", "settings", JSON.stringify(settings));
}

let key = stored("sessionStorage", "key") ?? stored("localStorage", "key") ?? "";

export const apiKey = () => key;
export const keyIsRemembered = () => stored("localStorage", "key") !== null;

export function setApiKey(value, remember) {
  key = value.trim();
  store("sessionStorage", "key", key && !remember ? key : null);
  store("localStorage", "key", key && remember ? key : null);
}

export const theme = () => stored("localStorage", "theme") ?? "system";

export function setTheme(value) {
  const chosen = value === "light" || value === "dark" ? value : null;
  store("localStorage", "theme", chosen);
  if (chosen) document.documentElement.dataset.theme = chosen;
  else delete document.documentElement.dataset.theme;
}

// Tool definitions as typed: OpenAI's list, or bare functions. Throws an Error that says what is
// wrong; null for an empty text.
export function parseTools(text) {
  if (!text.trim()) return null;
  let tools;
  try {
    tools = JSON.parse(text);
  } catch (error) {
    throw new Error(`This is not JSON: ${error.message}`);
  }
  if (!Array.isArray(tools)) tools = [tools];
  return tools.map((tool, index) => {
    const definition = tool?.type === "function" ? tool.function : tool;
    if (typeof definition?.name !== "string") throw new Error(`Tool ${index + 1} has no name.`);
    return { type: "function", function: definition };
  });
}
