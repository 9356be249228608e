"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("page-data").textContent);
  const ids = data.ids, target = data.target, models = data.models, classes = data.classes;
  const shown = 48;

  const element = (name, attributes, ...children) => {
    const e = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) e.setAttribute(key, value);
    e.append(...children);
    return e;
  };
  const confidence = (model, i) => parseInt(model.confidence.substr(2 * i, 2), 36) / 1000;

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
  const card = (i, model) => {
    const item = element("li", { "data-sample": ids[i] });
    if (data.thumbs[i] === "1") {
      const name = `thumbs/${String(i).padStart(5, "0")}.jpg`;
      item.append(element("img", { src: name, alt: `true class ${classes[target[i]]}`, loading: "lazy" }));
    }
    const share = (100 * confidence(model, i)).toFixed(0);
    item.append(element("div", {}, ids[i]), element("div", {}, `confidence ${share} %`));
    return item;
  };
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
      const text = `${found.length} samples of ${classes[t]} predicted as ${classes[p]}`;
      const rest = found.length > shown ? `, the ${shown} surest shown` : "";
      const list = element("ul", { class: "samples" });
      list.append(...found.slice(0, shown).map((i) => card(i, model)));
      panel.replaceChildren(element("p", {}, text + rest), list);
    });
  }

  // Two models side by side.
  const [first, second, result] = [byId("model-a"), byId("model-b"), byId("comparison")];
  const points = (share) => `${(100 * share).toFixed(2)} %`;
  const showComparison = () => {
    const [a, b] = [Number(first.value), Number(second.value)];
    const count = [[0, 0], [0, 0]];
    for (let i = 0; i < ids.length; i++) {
      const right = (m) => (models[m].predicted[i] === target[i] ? 1 : 0);
      count[right(a)][right(b)]++;
    }
    const rows = [
      ["accuracy of A", points((count[1][0] + count[1][1]) / ids.length)],
      ["accuracy of B", points((count[0][1] + count[1][1]) / ids.length)],
      ["both right", count[1][1]],
      ["only A right", count[1][0]],
      ["only B right", count[0][1]],
      ["both wrong", count[0][0]],
    ];
    const known = data.pairs[`${Math.min(a, b)}-${Math.max(a, b)}`];
    if (known && a !== b) rows.push(...(a < b ? known.forward : known.backward));
    else if (a !== b) rows.push(["tests", "only between different configurations at the same place in their lists of seeds"]);
    const body = element("tbody");
    for (const [name, text] of rows) {
      body.append(element("tr", {}, element("th", { scope: "row" }, name), element("td", { class: "num" }, String(text))));
    }
    result.replaceChildren(element("table", {}, body));
  };
  if (first) {
    first.addEventListener("change", showComparison);
    second.addEventListener("change", showComparison);
    showComparison();
  }

  const theme = byId("theme");
  theme.hidden = false;
  theme.addEventListener("click", () => {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const now = document.documentElement.dataset.theme || (dark ? "dark" : "light");
    document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
  });
  document.documentElement.dataset.ready = "yes";
})();
