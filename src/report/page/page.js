"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("page-data").textContent);
  const ids = data.ids, target = data.target, models = data.models, classes = data.classes;
  const { element, confidence, fill, open, connect } = samplesOf(data);

  // Sorting: a button in every heading of a sortable table.
  const value = (row, column) => {
    const cell = row.cells[column];
    const number = parseFloat(cell.dataset.value);
    return Number.isNaN(number) ? cell.textContent.trim() : number;
  };
  const compare = (a, b) => {
    if (typeof a === typeof b) return typeof a === "number" ? a - b : a.localeCompare(b, "en");
    return typeof a === "number" ? -1 : 1;
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      if (!head.textContent) return;
      const button = element("button", { type: "button" }, ...head.childNodes);
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...table.tBodies[0].rows];
        rows.sort((a, b) => compare(value(a, column), value(b, column)) * (down ? -1 : 1));
        table.tBodies[0].append(...rows);
      });
    });
  }

  // The samples behind a cell of a confusion matrix.
  for (const matrix of document.querySelectorAll("table.confusion")) {
    const model = models[matrix.dataset.model];
    const panel = byId(`${matrix.id}-samples`);
    matrix.addEventListener("click", (event) => {
      const cell = event.target.closest(".cell");
      if (!cell) return;
      for (const other of matrix.querySelectorAll(".cell")) other.setAttribute("aria-pressed", other === cell);
      const [t, p] = [cell.dataset.target, cell.dataset.predicted];
      const found = [];
      for (let i = 0; i < ids.length; i++) if (target[i] === t && model.predicted[i] === p) found.push(i);
      found.sort((a, b) => confidence(model, b) - confidence(model, a) || a - b);
      fill(panel, `${found.length} samples of ${classes[t]} predicted as ${classes[p]}, the surest first`, found, model);
    });
  }

  // Two models side by side.
  const [first, second, result] = [byId("model-a"), byId("model-b"), byId("comparison")];
  const points = (share) => `${(100 * share).toFixed(2)} %`;
  const showComparison = () => {
    const [a, b] = [Number(first.value), Number(second.value)];
    const found = [[[], []], [[], []]];
    for (let i = 0; i < ids.length; i++) {
      const right = (m) => (models[m].predicted[i] === target[i] ? 1 : 0);
      found[right(a)][right(b)].push(i);
    }
    const count = found.map((of) => of.map((samples) => samples.length));
    const rows = [
      ["accuracy of A", points((count[1][0] + count[1][1]) / ids.length)],
      ["accuracy of B", points((count[0][1] + count[1][1]) / ids.length)],
      ["both right", count[1][1], found[1][1]],
      ["only A right", count[1][0], found[1][0]],
      ["only B right", count[0][1], found[0][1]],
      ["both wrong", count[0][0], found[0][0]],
    ];
    const known = data.pairs[`${Math.min(a, b)}-${Math.max(a, b)}`];
    if (known && a !== b) rows.push(...(a < b ? known.forward : known.backward));
    else if (a !== b) rows.push(["tests", "only between different configurations at the same place in their lists of seeds"]);
    const body = element("tbody");
    const panel = element("div", { "aria-live": "polite" });
    for (const [name, text, samples] of rows) {
      const cell = element("td", { class: "num" });
      if (samples && samples.length) {
        const button = element("button", { type: "button", class: "plain", "aria-label": `${name}: show ${text} samples` }, String(text));
        button.addEventListener("click", () => fill(panel, `${name}: ${text} samples`, samples, models[a]));
        cell.append(button);
      } else cell.append(String(text));
      body.append(element("tr", {}, element("th", { scope: "row" }, name), cell));
    }
    result.replaceChildren(element("table", {}, body), panel);
  };
  if (first) {
    first.addEventListener("change", showComparison);
    second.addEventListener("change", showComparison);
    showComparison();
  }

  // Pictures of the prediction grid open as well.
  const numbers = new Map(ids.map((id, i) => [id, i]));
  for (const shot of document.querySelectorAll(".shot[data-sample]")) {
    const i = numbers.get(shot.dataset.sample);
    if (i !== undefined) shot.addEventListener("click", () => open([i], i));
  }
  connect();

  // The chosen colours survive a reload, where the browser lets a page keep anything.
  const root = document.documentElement;
  const stored = (act) => {
    try {
      return act(localStorage);
    } catch {
      return null;
    }
  };
  const before = stored((storage) => storage.getItem("ncaers-theme"));
  if (before === "light" || before === "dark") root.dataset.theme = before;
  const theme = byId("theme");
  theme.hidden = false;
  theme.addEventListener("click", () => {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const now = root.dataset.theme || (dark ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
    stored((storage) => storage.setItem("ncaers-theme", root.dataset.theme));
  });
  root.dataset.ready = "yes";
})();
