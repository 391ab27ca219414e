// The list by keys and on phones: `/` goes to the search, a button closes the filters.
"use strict";
(() => {
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
    const search = document.getElementById("search");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey || !search) return;
    event.preventDefault();
    search.focus();
    search.select();
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-show-results]");
    if (link) link.closest("details").open = false;
  });
})();
