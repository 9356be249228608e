"use strict";
// The scored samples: lists of them, and one of them at a time in a dialog. Called by page.js.
const samplesOf = (data) => {
  const { ids, target, models, classes } = data;
  const scored = models.map((model, at) => [model, at]).filter(([model]) => model);
  const perPage = 48;

  const element = (name, attributes, ...children) => {
    const e = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) e.setAttribute(key, value);
    e.append(...children);
    return e;
  };
  const base36 = (text, at) => parseInt(text.substr(2 * at, 2), 36) / 1000;
  const confidence = (model, i) => base36(model.confidence, i);
  const probabilities = (model, i) =>
    model.probabilities ? classes.map((_, k) => base36(model.probabilities, classes.length * i + k)) : null;
  const percent = (share) => `${(100 * share).toFixed(0)} %`;
  const isRight = (model, i) => model.predicted[i] === target[i];

  // The picture with the face's box over it, or a word in its place.
  const picture = (i, boxed) => {
    if (data.thumbs[i] !== "1") return element("span", { class: "absent" }, "no picture here");
    const name = `thumbs/${String(i).padStart(5, "0")}.jpg`;
    const image = element("img", { src: name, alt: `true class ${classes[target[i]]}`, loading: "lazy" });
    const box = boxed && data.boxes ? data.boxes[i] : null;
    const frame = element("span", { class: "framed" }, image);
    if (box) {
      const [x1, y1, x2, y2] = box.map((share) => share / 10);
      frame.append(element("span", { class: "face", style: `left:${x1}%;top:${y1}%;width:${x2 - x1}%;height:${y2 - y1}%` }));
    }
    return frame;
  };

  // One sample at a time; the arrow keys go through the list that it was opened from.
  const dialog = element("dialog", { class: "viewer", "aria-labelledby": "viewer-title" });
  let [list, position] = [[], 0];
  const bars = (model, i) => {
    const shares = probabilities(model, i);
    if (!shares) return element("td", {}, percent(confidence(model, i)));
    const said = shares.map((share, k) => `${classes[k]} ${percent(share)}`).join(", ");
    const cell = element("td", {}, element("span", { class: "said" }, said));
    const chart = element("span", { class: "bars", "aria-hidden": "true" });
    shares.forEach((share, k) => {
      const role = String(k) === target[i] ? "true" : String(k) === model.predicted[i] ? "wrong" : "other";
      const bar = element("span", { class: role, title: `${classes[k]} ${percent(share)}` });
      bar.append(element("i", { style: `height:${Math.max(2, 100 * share)}%` }), classes[k].slice(0, 2));
      chart.append(bar);
    });
    cell.append(chart);
    return cell;
  };
  const answers = (i) => {
    const body = element("tbody");
    for (const [model] of scored) {
      const right = isRight(model, i);
      const name = classes[model.predicted[i]];
      const word = `${right ? "✓" : "✗"} ${name} ${percent(confidence(model, i))}`;
      body.append(element("tr", {}, element("th", { scope: "row" }, model.name),
        element("td", { class: right ? "right" : "wrong" }, word), bars(model, i)));
    }
    const heads = ["model", "answer", "probabilities"].map((text) => element("th", { scope: "col" }, text));
    return element("table", {}, element("thead", {}, element("tr", {}, ...heads)), body);
  };
  const frames = (i) => {
    const others = [];
    for (let k = 0; k < ids.length; k++) if (k !== i && data.groups[k] === data.groups[i]) others.push(k);
    if (!others.length) return [];
    const row = element("ul", { class: "samples" });
    row.append(...others.slice(0, 12).map((k) => card(k, null, others)));
    return [element("h4", {}, `Other frames of this video (${others.length})`), row];
  };
  const neighbours = (i) => {
    const found = (data.neighbours ? data.neighbours.of[i] : null) || [];
    if (!found.length) return [];
    const row = element("ul", { class: "samples" });
    for (const at of found) {
      const [id, thumb] = data.neighbours.stills[at];
      const shown = thumb
        ? element("img", { src: thumb, alt: "picture of train", loading: "lazy" })
        : element("span", { class: "absent" }, "no picture here");
      row.append(element("li", {}, shown, element("span", {}, id)));
    }
    return [element("h4", {}, `Like it in train, as the audit found (${found.length})`), row];
  };
  const button = (text, label, act) => {
    const b = element("button", { type: "button", class: "plain", "aria-label": label }, text);
    b.addEventListener("click", act);
    return b;
  };
  const show = () => {
    const i = list[position];
    const go = (step) => () => move(step);
    const head = element("div", { class: "controls" },
      button("←", "the sample before", go(-1)), button("→", "the next sample", go(1)),
      element("span", {}, `${position + 1} of ${list.length}`), button("close", "close", () => dialog.close()));
    dialog.replaceChildren(head, element("h3", { id: "viewer-title" }, ids[i]),
      element("p", {}, `true class: ${classes[target[i]]}`),
      element("div", { class: "two" }, picture(i, true),
        element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "answers of the models" }, answers(i))),
      ...frames(i), ...neighbours(i));
  };
  const move = (step) => {
    position = (position + step + list.length) % list.length;
    show();
  };
  dialog.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    move(step);
  });
  const open = (of, i) => {
    if (!dialog.isConnected) document.body.append(dialog);
    [list, position] = [of, of.indexOf(i)];
    show();
    if (!dialog.open) dialog.showModal();
  };

  // A sample in a list; choosing it opens the dialog.
  const card = (i, model, of) => {
    const opener = element("button", { type: "button", class: "open" }, picture(i, false), element("span", {}, ids[i]));
    if (model) opener.append(element("span", {}, `${classes[model.predicted[i]]}, confidence ${percent(confidence(model, i))}`));
    opener.addEventListener("click", () => open(of, i));
    return element("li", { "data-sample": ids[i] }, opener);
  };
  // A list with its first samples; a button shows the next ones.
  const fill = (panel, text, found, model) => {
    const items = element("ul", { class: "samples" });
    const more = button("show more", "show more samples", () => next());
    let from = 0;
    const next = () => {
      items.append(...found.slice(from, from + perPage).map((i) => card(i, model, found)));
      from += perPage;
      more.hidden = from >= found.length;
    };
    next();
    panel.replaceChildren(element("p", {}, text), items, more);
  };

  // The lists of the section "Samples".
  const kinds = {
    all: () => true,
    wrong: (i, model) => !isRight(model, i),
    disagree: (i) => scored.some(([model]) => model.predicted[i] !== scored[0][0].predicted[i]),
    "all-wrong": (i) => scored.every(([model]) => !isRight(model, i)),
  };
  const connect = () => {
    const control = (name) => document.getElementById(`samples-${name}`);
    const panel = control("panel");
    if (!panel) return;
    const update = () => {
      const [kind, emotion, words] = ["kind", "class", "text"].map((name) => control(name).value);
      const model = models[control("model").value];
      const found = [];
      for (let i = 0; i < ids.length; i++) {
        const fits = (!emotion || target[i] === emotion) && ids[i].toLowerCase().includes(words.toLowerCase());
        if (fits && kinds[kind](i, model)) found.push(i);
      }
      if (kind !== "all") found.sort((a, b) => confidence(model, b) - confidence(model, a) || a - b);
      fill(panel, `${found.length} samples${kind === "wrong" ? ", the surest first" : ""}`, found, model);
    };
    for (const name of ["kind", "model", "class"]) control(name).addEventListener("change", update);
    control("text").addEventListener("input", update);
    update();
  };
  return { element, confidence, fill, open, connect };
};
