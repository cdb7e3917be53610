// The settings sheet and the composer's switches: each field shows a setting and writes it back.
// A field left empty means the server's default, and is not sent.

import { setText } from "./dom.js";
import {
  apiKey,
  keyIsRemembered,
  parseTools,
  setApiKey,
  setSetting,
  setTheme,
  settings,
  theme,
} from "./settings.js";

const element = (id) => document.getElementById(id);

const NUMBERS = {
  temperature: { low: 0, high: 2, wanted: "A number from 0 to 2" },
  top_p: { low: 0, high: 1, wanted: "A number from 0 to 1" },
  max_tokens: { low: 1, high: 1e9, whole: true, wanted: "A whole number above 0" },
  seed: {
    low: Number.MIN_SAFE_INTEGER,
    high: Number.MAX_SAFE_INTEGER,
    whole: true,
    wanted: "A whole number",
  },
};

function complain(field, message) {
  field.setAttribute("aria-invalid", String(Boolean(message)));
  setText(element(`${field.id}-error`), message);
}

function bindNumber(name) {
  const field = element(name);
  const { low, high, whole, wanted } = NUMBERS[name];
  field.value = settings[name] ?? "";
  field.addEventListener("input", () => {
    const text = field.value.trim();
    const number = Number(text);
    const inRange = number >= low && number <= high && (!whole || Number.isInteger(number));
    const good = text === "" || inRange;
    complain(field, good ? "" : `${wanted}, or nothing.`);
    if (good) setSetting(name, text === "" ? null : number);
  });
}

function bindStop() {
  const field = element("stop-sequences");
  field.value = (settings.stop ?? []).join("\n");
  field.addEventListener("input", () => {
    const lines = field.value.split("\n").filter((line) => line !== "");
    complain(field, lines.length > 16 ? "At most 16 of them." : "");
    if (lines.length <= 16) setSetting("stop", lines.length ? lines : null);
  });
}

function bindTools() {
  const field = element("tools");
  field.value = settings.tools ? JSON.stringify(settings.tools, null, 2) : "";
  field.addEventListener("input", () => {
    try {
      setSetting("tools", parseTools(field.value));
      complain(field, "");
    } catch (error) {
      complain(field, error.message);
    }
  });
}

function bindKey(onChange) {
  const field = element("api-key");
  const remember = element("remember-key");
  field.value = apiKey();
  remember.checked = keyIsRemembered();
  const save = () => {
    setApiKey(field.value, remember.checked);
    onChange();
  };
  field.addEventListener("change", save);
  remember.addEventListener("change", save);
}

function bindTheme() {
  const choices = document.querySelectorAll('input[name="theme"]');
  for (const choice of choices) {
    choice.checked = choice.value === theme();
    choice.addEventListener("change", () => setTheme(choice.value));
  }
}

// `onKey` after a change of the API key, `onSystem(text)` of the system prompt.
export function bindControls({ onKey, onSystem }) {
  const sheet = element("settings");
  element("open-settings").addEventListener("click", () => sheet.showModal());
  element("close-settings").addEventListener("click", () => sheet.close());
  sheet.addEventListener("click", (event) => {
    if (event.target === sheet) sheet.close(); // beside the sheet
  });
  Object.keys(NUMBERS).forEach(bindNumber);
  bindStop();
  bindTools();
  bindKey(onKey);
  bindTheme();
  element("system").value = settings.system;
  element("system").addEventListener("input", (event) => onSystem(event.target.value));

  const thinking = element("thinking");
  const showThinking = () => thinking.setAttribute("aria-pressed", String(settings.thinking));
  thinking.addEventListener("click", () => {
    setSetting("thinking", !settings.thinking);
    showThinking();
  });
  showThinking();
  element("model").addEventListener("change", (event) => setSetting("model", event.target.value));
}

export function showSystem(text) {
  element("system").value = text;
}

// Fills the list of models and keeps the choice, if it still exists.
export function showModels(models) {
  const select = element("model");
  select.replaceChildren(...models.map(({ id }) => new Option(id, id)));
  if (!models.some(({ id }) => id === settings.model)) setSetting("model", models[0]?.id ?? null);
  if (settings.model) select.value = settings.model;
  select.disabled = models.length === 0;
}
