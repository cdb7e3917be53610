// The keyboard: Enter sends, Shift+Enter breaks the line, Escape stops, Ctrl+Shift+O begins a new
// conversation, "/" goes to the input.

const isField = (element) =>
  element.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(element.tagName);

export function bindKeys({ input, send, stop, startNew, closeSidebar }) {
  input.addEventListener("keydown", (event) => {
    // While an input method composes, Enter picks a word.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  });
  document.addEventListener("keydown", (event) => {
    const command = event.ctrlKey || event.metaKey;
    if (command && event.shiftKey && event.key.toLowerCase() === "o") {
      event.preventDefault();
      startNew();
    } else if (event.key === "Escape" && !document.querySelector("dialog[open]")) {
      if (document.body.classList.contains("sidebar-open")) closeSidebar();
      else stop();
    } else if (event.key === "/" && !command && !event.altKey && !isField(event.target)) {
      if (document.querySelector("dialog[open]")) return;
      event.preventDefault();
      input.focus();
    }
  });
}
