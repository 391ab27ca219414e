// Improves pages that work without it: colours by choice, search as you type, selects that act at once, copying.
"use strict";
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const stored = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const paint = () => {
    const chosen = stored();
    if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen; else delete root.dataset.theme;
    root.classList.toggle("dark", (root.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark");
    for (const meta of document.querySelectorAll("meta[name=theme-color]")) {
      meta.dataset.own ??= meta.content;
      meta.content = root.dataset.theme ? { light: "#f6f7f9", dark: "#11151c" }[root.dataset.theme] : meta.dataset.own;
    }
    const button = document.querySelector("[data-theme-switch]");
    if (button) button.setAttribute("aria-label", root.classList.contains("dark") ? "Use light colours" : "Use dark colours");
  };
  root.classList.add("js");
  paint();
  dark.addEventListener("change", paint);

  // Says something to those who do not see it. The region is there before its text changes.
  const region = Object.assign(document.createElement("p"), { className: "hidden", id: "announced" });
  region.setAttribute("role", "status");
  const announce = (text) => {
    region.textContent = "";
    requestAnimationFrame(() => { region.textContent = text; });
  };

  // The client whose commands are shown is the one that was chosen last.
  const recall = () => {
    let client;
    try { client = localStorage.getItem("client"); } catch { /* not kept */ }
    const choice = client && document.getElementById(`client-${client}`);
    if (choice) choice.checked = true;
  };

  // Says for a moment that something was done, in the button's own words place.
  const tell = (element, text) => {
    const label = element.querySelector("span") ?? element;
    label.dataset.text ??= label.textContent;
    label.textContent = text;
    announce(text);
    element.classList.add("done");
    clearTimeout(element.tellTimer);
    element.tellTimer = setTimeout(() => { label.textContent = label.dataset.text; element.classList.remove("done"); }, 2000);
  };
  const copy = async (element, text) => {
    try { await navigator.clipboard.writeText(text); return tell(element, "Copied"); } catch { /* no clipboard here */ }
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "hidden";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    element.focus();
    tell(element, done ? "Copied" : "Not copied");
  };

  // The list, live: the same URL as the form's, its parts put in place of those that are shown.
  let running;
  let shown = location.pathname + location.search;
  const show = async (url, step) => {
    running?.abort();
    const control = running = new AbortController();
    const results = document.getElementById("results");
    results.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(url, { signal: control.signal });
      if (!answer.ok) throw new Error(answer.statusText);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const open = new Set([...document.querySelectorAll("details[data-keep][open]")].map((details) => details.dataset.keep));
      const focused = document.activeElement;
      const value = focused?.matches?.("#facets input") ? [focused.name, focused.value] : null;
      for (const part of document.querySelectorAll("[data-part]")) part.replaceWith(page.getElementById(part.id));
      const summary = page.querySelector(".disclosure > summary");
      document.querySelector(".disclosure > summary")?.replaceWith(summary);
      for (const details of document.querySelectorAll("details[data-keep]")) details.open = open.has(details.dataset.keep);
      if (value) [...document.querySelectorAll("#facets input")].find((input) => input.name === value[0] && input.value === value[1])?.focus({ preventScroll: true });
      document.title = page.title;
      document.getElementById("said").textContent = document.querySelector(".toolbar h2").textContent;
      if (step) history[step](null, "", url);
      shown = location.pathname + location.search;
    } catch (error) {
      if (error.name !== "AbortError") location.assign(url);
    } finally {
      if (running === control) document.getElementById("results")?.removeAttribute("aria-busy");
    }
  };
  const address = (form) => {
    const data = new URLSearchParams(new FormData(form));
    for (const [name, value] of [...data]) if (!value || (name === "sort" && value === form.querySelector("#sort option")?.value)) data.delete(name, value);
    const query = data.toString();
    return form.action.split("?")[0] + (query ? `?${query}` : "");
  };

  const wide = matchMedia("(min-width: 60rem)");
  const unfold = () => { for (const part of document.querySelectorAll(".disclosure")) part.open = wide.matches; };
  wide.addEventListener("change", unfold);

  document.addEventListener("DOMContentLoaded", () => {
    paint();
    unfold();
    recall();
    document.body.append(region);
    root.classList.add("ready");
    const live = document.querySelector("form[data-live]");
    if (live) {
      let timer;
      live.search.addEventListener("input", () => {
        clearTimeout(timer);
        timer = setTimeout(() => show(address(live), "replaceState"), 150);
      });
      live.addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(timer); show(address(live), "pushState"); });
      addEventListener("popstate", () => {
        // A step inside the page, such as to its content, changes nothing.
        if (location.pathname + location.search === shown) return;
        live.search.value = new URLSearchParams(location.search).get("search") ?? "";
        show(location.href, null);
      });
    }
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
    if (event.target.name === "client") try { localStorage.setItem("client", event.target.value); } catch { /* not kept */ }
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-theme-switch], [data-copy], [data-share], .line");
    if (!button) return;
    if (button.matches("[data-theme-switch]")) {
      try { localStorage.setItem("theme", root.classList.contains("dark") ? "light" : "dark"); } catch { /* not kept */ }
      paint();
    } else if (button.matches("[data-copy]")) {
      copy(button, document.querySelector(button.dataset.copy).textContent);
    } else if (button.matches("[data-share]")) {
      event.preventDefault();
      if (navigator.share) navigator.share({ title: document.title, url: button.href }).catch(() => {});
      else copy(button, button.href);
    } else if (event.offsetX < 50 && !getSelection().toString()) {
      // The number of a line: its address.
      location.hash = button.id;
    }
  });
})();
