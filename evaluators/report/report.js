"use strict";
// Sorts and filters the table of units. Without scripts the table is complete, in the run's order.
(() => {
  const table = document.getElementById("unit-table");
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);

  const number = (text) => {
    const found = text.replace(/\u2212/g, "-").replace(/,/g, "").match(/^\s*[<+]?\s*(-?\d+(\.\d+)?)/);
    return found ? Number(found[1]) : NaN;
  };
  const value = (row, column) => {
    const cell = row.cells[column];
    const strong = cell.querySelector("b");
    return (strong || cell).textContent.trim();
  };
  const compare = (a, b, column, isText, sign) => {
    if (isText) {
      return sign * value(a, column).localeCompare(value(b, column), "en", { numeric: true });
    }
    const x = number(value(a, column));
    const y = number(value(b, column));
    // Undefined scores come last in both directions: they are neither high nor low.
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
    return sign * (x - y);
  };

  table.tHead.querySelectorAll("th").forEach((head, column) => {
    const button = head.querySelector("button");
    if (!button) return;
    const isText = !head.classList.contains("n");
    button.addEventListener("click", () => {
      const before = head.getAttribute("aria-sort");
      const first = isText ? "ascending" : "descending";
      const other = isText ? "descending" : "ascending";
      const order = before === first ? other : first;
      table.tHead.querySelectorAll("th").forEach((h) => h.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", order);
      rows.sort((a, b) => compare(a, b, column, isText, order === "ascending" ? 1 : -1));
      body.append(...rows);
    });
  });

  const filter = document.getElementById("filter");
  const matching = document.getElementById("matching");
  const narrow = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let n = 0;
    for (const row of rows) {
      const text = ("layer " + row.cells[1].textContent + " " + row.textContent).toLowerCase();
      const isMatch = words.every((word) => text.includes(word));
      row.hidden = !isMatch;
      n += isMatch ? 1 : 0;
    }
    matching.textContent = words.length ? n + " of " + rows.length + " units" : "";
  };
  filter.addEventListener("input", narrow);
  narrow();
})();
