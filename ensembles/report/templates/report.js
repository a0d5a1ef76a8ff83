"use strict";
// Sorts tables, filters the trials, and lights up one trial wherever it is drawn. The page says all it has to say without.
(() => {
  const make = (name, properties, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };
  const number = (text) => {
    const found = /^[+-]?[\d,]*\.?\d+(e[+-]?\d+)?/i.exec(text.trim());
    return found ? Number(found[0].replaceAll(",", "")) : NaN;
  };
  const value = (row, column) => {
    const cell = row.cells[column];
    const text = cell?.dataset.v ?? cell?.textContent.trim() ?? "";
    return { text, size: number(text) };
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      if (head.tagName !== "TH") return;
      const button = make("button", { type: "button", className: "sort" }, ...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const rows = [...table.tBodies[0].rows];
        const cells = new Map(rows.map((row) => [row, value(row, column)]));
        const numbers = rows.filter((row) => !Number.isNaN(cells.get(row).size)).length * 2 > rows.length;
        // Numbers begin with the largest, words with A; what has no value stays last either way.
        const down = head.ariaSort ? head.ariaSort === "ascending" : numbers;
        const sign = down ? -1 : 1;
        const order = (a, b) => {
          const [x, y] = [cells.get(a), cells.get(b)];
          if (!numbers) return sign * x.text.localeCompare(y.text, "en");
          const [lost, gone] = [Number.isNaN(x.size), Number.isNaN(y.size)];
          return lost || gone ? lost - gone : sign * (x.size - y.size);
        };
        table.tBodies[0].append(...rows.sort(order));
        heads.forEach((other) => (other.ariaSort = null));
        head.ariaSort = down ? "descending" : "ascending";
      });
    });
  }

  const marks = new Map();
  for (const element of document.querySelectorAll("[data-t]")) {
    const trial = element.dataset.t;
    if (!marks.has(trial)) marks.set(trial, []);
    marks.get(trial).push(element);
  }
  let lit = [];
  let pinned = null;
  const light = (trials) => {
    lit.forEach((element) => element.classList.remove("lit"));
    lit = trials.flatMap((trial) => marks.get(trial) ?? []);
    lit.forEach((element) => element.classList.add("lit"));
    document.body.classList.toggle("following", lit.length > 0);
  };
  const trialAt = (event) => event.target.closest?.("[data-t]")?.dataset.t ?? null;
  const rest = () => light(pinned ?? []);
  document.addEventListener("mouseover", (event) => {
    const trial = trialAt(event);
    if (trial) light([trial]);
    else rest();
  });
  document.addEventListener("focusin", (event) => {
    const trial = trialAt(event);
    if (trial) light([trial]);
    else rest();
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("button, input, summary, .filter")) return;
    const trial = trialAt(event);
    pinned = trial && !(pinned?.length === 1 && pinned[0] === trial) ? [trial] : null;
    rest();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    pinned = null;
    rest();
  });

  for (const table of document.querySelectorAll("table.filtered")) {
    const rows = [...table.tBodies[0].rows];
    const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
    const field = make("input", { type: "search", autocomplete: "off", spellcheck: false });
    const status = make("span", { className: "hint" });
    status.setAttribute("role", "status");
    const label = make("label", {}, "Filter and follow ", field);
    table.closest(".scroll").before(make("p", { className: "filter" }, label, status));
    field.addEventListener("input", () => {
      const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      const found = rows.filter((row) => words.every((word) => texts.get(row).includes(word)));
      rows.forEach((row) => (row.hidden = true));
      found.forEach((row) => (row.hidden = false));
      status.textContent = words.length ? `${found.length} of ${rows.length} trials` : "";
      pinned = words.length && found.length <= 20 ? found.map((row) => row.dataset.t) : null;
      rest();
    });
  }
})();
