// Reloads the page when a new release changes its content.
"use strict";
(() => {
  const read = async () => {
    const answer = await fetch(location.href, { cache: "no-cache" });
    // Every release has another commit. A page that differs in it alone stays.
    const commit = answer.headers.get("devfile-registry-commit")?.slice(0, 7);
    const text = await answer.text();
    return commit ? text.replaceAll(commit, "") : text;
  };
  const shown = read().catch(() => null);
  // How often the page was compared, for those who wait for it.
  let compared = 0;
  const compare = async () => {
    try {
      if (await read() !== await shown) return location.reload();
      document.documentElement.dataset.compared = String(++compared);
    } catch { /* the preview has ended */ }
  };
  const events = new EventSource("/_preview/events");
  events.addEventListener("release", compare);
  // Also after a restart of the preview.
  events.addEventListener("open", compare);
})();
