// Reloads the page when a new release changes its content.
"use strict";
(() => {
  const read = async () => (await fetch(location.href, { cache: "no-cache" })).text();
  const shown = read().catch(() => null);
  const compare = async () => {
    try { if (await read() !== await shown) location.reload(); } catch { /* the preview has ended */ }
  };
  const events = new EventSource("/_preview/events");
  events.addEventListener("release", compare);
  // Also after a restart of the preview.
  events.addEventListener("open", compare);
})();
