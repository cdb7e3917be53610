// Runs before the first paint: a theme that the reader chose is there from the start, without a
// flash. Without a choice the style sheet follows the system.

(() => {
  let theme = null;
  try {
    theme = localStorage.getItem("speciale.theme");
  } catch {
    // Storage is barred: the system decides.
  }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
})();
