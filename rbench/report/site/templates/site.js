// Sorts the leaderboards by click or key and filters their rows; the address keeps both: #sort=KEY:COLUMN:ORDER&filter=TEXT
"use strict";
(() => {
  const boards = [...document.querySelectorAll("table.board")];
  const wanted = () => new URLSearchParams(location.hash.slice(1));

  function keep(name, value) {
    const words = location.hash.includes("=") ? wanted() : new URLSearchParams();
    if (value) words.set(name, value);
    else words.delete(name);
    history.replaceState(null, "", words.size ? `#${words}` : location.pathname + location.search);
  }

  function value(row, column) {
    const cell = row.cells[column];
    return column === 0 ? cell.textContent.trim() : cell.dataset.value;
  }

  function compare(one, two, column) {
    return column === 0 ? one.localeCompare(two) : Number(one) - Number(two);
  }

  function sort(table, column, order) {
    const heading = table.querySelector(`th[data-column="${column}"]`);
    if (!heading || !["ascending", "descending"].includes(order)) return;
    const sign = order === "ascending" ? 1 : -1;
    const rows = [...table.tBodies[0].rows].sort((first, second) => {
      const [one, two] = [value(first, column), value(second, column)];
      if (one === undefined || two === undefined) return (one === undefined) - (two === undefined); // empty cells last
      return sign * compare(one, two, column);
    });
    table.tBodies[0].append(...rows);
    table.querySelectorAll("th[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", order);
  }

  function makeSortable(table) {
    for (const heading of table.querySelectorAll("th[data-column]")) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const now = heading.getAttribute("aria-sort");
        const turned = now === "ascending" ? "descending" : "ascending";
        const order = now ? turned : heading.dataset.first;
        const column = Number(heading.dataset.column);
        sort(table, column, order);
        keep("sort", `${table.dataset.key}:${column}:${order}`);
      });
    }
  }

  function filter(text) {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    const rows = [...document.querySelectorAll("[data-model]")];
    for (const row of rows) {
      const name = row.dataset.model.toLowerCase();
      row.hidden = !words.every((word) => name.includes(word));
      shown += !row.hidden;
    }
    const matches = document.getElementById("matches");
    if (matches) matches.value = words.length ? `${shown} of ${rows.length} rows` : "";
  }

  function obey() {
    const words = wanted();
    const [key, column, order] = (words.get("sort") || "").split(":");
    const table = boards.find((board) => board.dataset.key === key);
    if (table) sort(table, Number(column), order);
    const field = document.getElementById("filter");
    if (field && words.has("filter")) field.value = words.get("filter");
    if (field) filter(field.value);
    const place = document.getElementById(location.hash.slice(1));
    if (place && place.closest("details")) {
      place.closest("details").open = true; // a link to a command in a closed list
      place.scrollIntoView();
    }
  }

  boards.forEach(makeSortable);
  for (const form of document.querySelectorAll("form.filter")) {
    form.hidden = false;
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", (event) => {
      filter(event.target.value);
      keep("filter", event.target.value);
    });
  }
  addEventListener("hashchange", obey);
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => (part.open = true)));
  obey();
})();
