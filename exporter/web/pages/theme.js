// Light or dark: the system's wish, unless the reader chose. Loaded before the page is drawn, so that it never flashes.
(() => {
  const NEXT = { system: "dark", dark: "light", light: "system" };
  const root = document.documentElement;
  const stored = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const store = (name) => { try { localStorage.setItem("theme", name); } catch { /* private windows may refuse */ } };
  const show = (name) => {
    root.dataset.theme = name;
    const button = document.getElementById("theme");
    if (button) button.textContent = `theme: ${name}`;
    document.dispatchEvent(new CustomEvent("themechange"));
  };
  let theme = stored() in NEXT ? stored() : "system";
  root.dataset.theme = theme;
  document.addEventListener("DOMContentLoaded", () => {
    show(theme);
    document.getElementById("theme").addEventListener("click", () => { theme = NEXT[theme]; store(theme); show(theme); });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => show(theme));
  });
})();
