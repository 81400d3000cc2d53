"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const ROW = 26, AHEAD = 12, STEPS = 8, PRINTED = 400;
  const { columns, subjects, people } = data;
  const stride = data.fields.length + 1;
  const F = Object.fromEntries(data.fields.map((name, index) => [name, index]));
  const hasState = "missing" in F;

  // One dense array a measure: subjects x columns. A file that is only missing leaves zeros in the others.
  const width = columns.length, height = subjects.length;
  const values = data.fields.map(() => new Float64Array(width * height));
  data.cells.forEach((row, subject) => {
    for (let at = 0; at < row.length; at += stride) {
      for (let field = 0; field < values.length; field++) values[field][subject * width + row[at]] = row[at + 1 + field];
    }
  });
  const value = (field, subject, column) => values[F[field]][subject * width + column];

  const MEASURES = [["recordings", "Recordings"], ["files", "Files"], ["bytes", "Size"], ...(hasState ? [["state", "State"]] : [])];
  const STATES = ["complete", "missing", "changed", "failed"];
  const GLYPHS = { complete: "✓", missing: "–", changed: "≠", failed: "!" };
  const view = { measure: "recordings", search: "", rows: "all", dataset: "", sort: { by: "subject", up: true }, people: new Set() };
  let shown = [], order = [], limits = [], first = -1, last = -1;

  const number = new Intl.NumberFormat("en-US");
  const size = (bytes) => {
    if (bytes < 1024) return bytes + " B";
    let unit = -1;
    do { bytes /= 1024; unit++; } while (bytes >= 1023.95 && unit < 4);
    return bytes.toFixed(bytes < 10 ? 1 : 0) + " " + ["KiB", "MiB", "GiB", "TiB", "PiB"][unit];
  };
  const short = (bytes) => size(bytes).replace("iB", "").replace(" B", "");
  const label = (column) => column.suffix ?? "other";
  const full = (column) => [column.dataset, column.datatype, label(column)].filter(Boolean).join(" / ");
  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, text] of Object.entries(attributes)) element.setAttribute(name, text);
    element.append(...children);
    return element;
  };

  // What of a cell counts
  const amount = (subject, column) =>
    view.measure === "state" ? problems(subject, column) + (value("files", subject, column) > 0 ? 1e-3 : 0) : value(view.measure, subject, column);
  const problems = (subject, column) =>
    hasState ? value("missing", subject, column) + value("failed", subject, column) + value("changed", subject, column) : 0;
  const stateOf = (subject, column) => {
    for (const state of ["failed", "changed", "missing"]) if (value(state, subject, column)) return state;
    return value("files", subject, column) ? "complete" : null;
  };
  const isThere = (subject, column) => (value("recordings", subject, column) || (value("files", subject, column) && !hasRecordings[column])) > 0;
  const hasRecordings = columns.map((_, column) => {
    for (let subject = 0; subject < height; subject++) if (value("recordings", subject, column)) return true;
    return false;
  });

  // Steps of the scale: even in the logarithm, since both counts and sizes span decades.
  function setLimits() {
    let most = 0, least = Infinity;
    if (view.measure !== "state") {
      for (let subject = 0; subject < height; subject++) for (const column of shown) {
        const here = value(view.measure, subject, column);
        if (here > most) most = here;
        if (here > 0 && here < least) least = here;
      }
    }
    limits = [];
    if (!most) return;
    if (view.measure !== "bytes" && most - least < STEPS) {
      const span = most - least;
      for (let step = 0; step <= span; step++) limits.push([least + step, span ? 1 + Math.round(step * (STEPS - 2) / Math.max(span, 3)) + 1 : 4]);
      return;
    }
    for (let step = 0; step < STEPS; step++) {
      const limit = least * (most / least) ** (step / STEPS);
      const rounded = view.measure === "bytes" ? limit : Math.ceil(limit);
      if (!limits.length || limits.at(-1)[0] < rounded) limits.push([rounded, step + 1]);
    }
  }
  const stepOf = (amount) => {
    let step = 0;
    for (const [limit, q] of limits) { if (amount + 1e-9 < limit) break; step = q; }
    return step;
  };

  function drawLegend() {
    const items = view.measure === "state"
      ? STATES.map((state) => make("span", {}, make("i", { class: "s-" + state }), GLYPHS[state] + " " + state))
      : limits.map(([limit, q], index) => make("span", {}, make("i", { class: "q" + q }),
          (view.measure === "bytes" ? size(Math.round(limit)) : number.format(limit)) + (index === limits.length - 1 && limits.length > 1 && view.measure !== "bytes" && q === STEPS ? "+" : "")));
    $("legend").replaceChildren(...items);
  }

  // Header
  const numeric = people ? people.columns.map((_, column) => {
    let known = 0, numbers = 0;
    for (const row of people.rows) {
      const text = row?.[column] ?? "";
      if (text && text.toLowerCase() !== "n/a") { known++; if (Number.isFinite(Number(text))) numbers++; }
    }
    return known > 0 && numbers === known;
  }) : [];

  function header(by, text, title, classes) {
    const button = make("button", { type: "button", "data-by": by, "aria-label": "Sort by " + title, title }, text);
    const cell = make("th", { scope: "col", ...(classes ? { class: classes } : {}) }, button);
    if (view.sort.by === by) cell.setAttribute("aria-sort", view.sort.up ? "ascending" : "descending");
    return cell;
  }

  function drawHeader() {
    const lead = 1 + view.people.size;
    const rows = [];
    for (const part of ["dataset", "datatype"]) {
      if (part === "dataset" && new Set(shown.map((c) => columns[c].dataset)).size < 2) continue;
      const row = make("tr", {}, ...Array.from({ length: lead }, () => make("th", { class: "blank" })));
      for (let at = 0; at < shown.length;) {
        const here = columns[shown[at]];
        let end = at + 1;
        while (end < shown.length && columns[shown[end]][part] === here[part] && columns[shown[end]].dataset === here.dataset) end++;
        row.append(make("th", { scope: "colgroup", colspan: end - at }, make("span", { class: "group" }, here[part] ?? " ")));
        at = end;
      }
      row.append(make("th", { class: "blank" }), make("th", { class: "blank" }));
      rows.push(row);
    }
    const leaf = make("tr", {}, header("subject", "Subject", "subject"));
    for (const column of view.people) leaf.append(header("p" + column, people.columns[column], people.columns[column], numeric[column] ? "num" : ""));
    const vertical = shown.length > 6 || shown.some((column) => label(columns[column]).length > 6);
    for (const column of shown) leaf.append(header("c" + column, label(columns[column]), full(columns[column]), vertical ? "v" : "num"));
    leaf.append(header("files", "Files", "number of files", "num"), header("bytes", "Size", "size", "num"));
    rows.push(leaf);
    const head = $("table").tHead, focused = document.activeElement?.dataset?.by;
    head.replaceChildren(...rows);
    $("table").setAttribute("aria-colcount", lead + shown.length + 2);
    if (focused) head.querySelector(`[data-by="${focused}"]`)?.focus();
  }

  // Rows
  const totals = { files: new Float64Array(height), bytes: new Float64Array(height), problems: new Float64Array(height) };
  function setTotals() {
    for (let subject = 0; subject < height; subject++) {
      totals.files[subject] = totals.bytes[subject] = totals.problems[subject] = 0;
      for (const column of shown) {
        totals.files[subject] += value("files", subject, column);
        totals.bytes[subject] += value("bytes", subject, column);
        totals.problems[subject] += problems(subject, column);
      }
    }
  }

  const texts = subjects.map((subject, index) => (subject + " " + (people?.rows[index]?.join(" ") ?? "")).toLowerCase());
  const collator = new Intl.Collator("en", { numeric: true });

  function matches(subject) {
    for (const word of view.search.toLowerCase().split(/\s+/)) if (!texts[subject].includes(word)) return false;
    const rule = view.rows;
    if (rule === "all") return true;
    if (rule === "complete") return shown.every((column) => isThere(subject, column));
    if (rule === "gaps") return !shown.every((column) => isThere(subject, column));
    if (rule === "problems") return totals.problems[subject] > 0;
    const there = isThere(subject, Number(rule.slice(4)));
    return rule.startsWith("has:") ? there : !there;
  }

  function sortKey(by) {
    if (by === "files" || by === "bytes") return (subject) => totals[by][subject];
    if (by.startsWith("c")) { const column = Number(by.slice(1)); return (subject) => amount(subject, column); }
    const column = Number(by.slice(1));
    return (subject) => {
      const text = people.rows[subject]?.[column] ?? "";
      if (!numeric[column]) return text;
      return text === "" || text.toLowerCase() === "n/a" ? -Infinity : Number(text);
    };
  }

  function arrange() {
    order = [];
    for (let subject = 0; subject < height; subject++) if (matches(subject)) order.push(subject);
    const { by, up } = view.sort;
    if (by !== "subject") {
      const key = sortKey(by), keys = new Map(order.map((subject) => [subject, key(subject)]));
      order.sort((a, b) => {
        const x = keys.get(a), y = keys.get(b);
        const difference = typeof x === "string" ? collator.compare(x, y) : x < y ? -1 : x > y ? 1 : 0;
        return (up ? difference : -difference) || a - b;
      });
    } else if (!up) order.reverse();
    const table = $("table");
    table.setAttribute("aria-rowcount", order.length + table.tHead.rows.length);
    const which = order.length === height ? number.format(height) : number.format(order.length) + " of " + number.format(height);
    $("status").textContent = !height ? "No file here belongs to a subject. Subjects are folders named sub-…" : which + (height === 1 ? " subject, " : " subjects, ") + number.format(shown.length) + (shown.length === 1 ? " kind of file" : " kinds of files");
    $("scroller").scrollTop = 0;
    first = -1;
    drawRows();
    drawOverview();
    drawCharts();
  }

  function drawCell(subject, column) {
    const files = value("files", subject, column);
    const cell = make("td");
    let classes = "c" + (view.measure === "bytes" ? " wide" : ""), text = "";
    if (view.measure === "state") {
      const state = stateOf(subject, column);
      if (state) { classes += " s-" + state; text = GLYPHS[state] + (state === "complete" ? "" : " " + value(state, subject, column)); }
    } else {
      const here = value(view.measure, subject, column);
      if (here > 0) { classes += " q" + stepOf(here); text = view.measure === "bytes" ? short(here) : number.format(here); }
      else if (files > 0) { classes += " zero"; text = "0"; }
    }
    cell.className = classes;
    if (text) {
      cell.textContent = text;
      cell.title = `${subjects[subject]}, ${full(columns[column])}: ${number.format(value("recordings", subject, column))} recordings, ${number.format(files)} files, ${size(value("bytes", subject, column))}`
        + (problems(subject, column) ? `; ${value("missing", subject, column)} missing, ${value("changed", subject, column)} changed, ${value("failed", subject, column)} failed` : "");
    }
    return cell;
  }

  function drawRow(position) {
    const subject = order[position];
    const row = make("tr", { "aria-rowindex": position + 1 + $("table").tHead.rows.length });
    row.append(make("th", { scope: "row", title: subjects[subject] }, make("bdi", {}, subjects[subject])));
    for (const column of view.people) row.append(make("td", numeric[column] ? { class: "num" } : {}, make("bdi", {}, people.rows[subject]?.[column] ?? "")));
    for (const column of shown) row.append(drawCell(subject, column));
    row.append(make("td", { class: "num" }, number.format(totals.files[subject])), make("td", { class: "num" }, size(totals.bytes[subject])));
    return row;
  }

  // Only the rows in sight are in the document; two empty rows stand for those above and below.
  function drawRows(all = false) {
    const scroller = $("scroller"), body = $("table").tBodies[0];
    // Before there are rows the table is low, so the window says how many will be in sight.
    const inSight = Math.max(scroller.clientHeight, Math.min(innerHeight, order.length * ROW));
    const from = all ? 0 : Math.max(0, Math.floor(scroller.scrollTop / ROW) - AHEAD);
    const to = all ? Math.min(order.length, PRINTED) : Math.min(order.length, Math.ceil((scroller.scrollTop + inSight) / ROW) + AHEAD);
    if (from === first && to === last) return;
    [first, last] = [from, to];
    const rows = [];
    const gap = (pixels) => {
      const cell = make("td", { colspan: 3 });
      cell.style.height = pixels + "px";
      rows.push(make("tr", { class: "gap", "aria-hidden": "true" }, cell));
    };
    if (!all && from > 0) gap(from * ROW);
    for (let position = from; position < to; position++) rows.push(drawRow(position));
    if (!all && to < order.length) gap((order.length - to) * ROW);
    body.replaceChildren(...rows);
  }

  // All rows on a canvas; where there are more rows than pixels, one pixel is the mean of several.
  const canvas = $("overview");
  function drawOverview(isPrint = false) {
    const scroller = $("scroller");
    const high = Math.max(40, scroller.clientHeight), wide = canvas.clientWidth;
    if (!wide) return;
    const ratio = window.devicePixelRatio || 1;
    canvas.style.height = high + "px";
    canvas.width = Math.round(wide * ratio);
    canvas.height = Math.round(high * ratio);
    const context = canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const dark = !isPrint && matchMedia("screen and (prefers-color-scheme: dark)").matches;
    const ramp = Array.from({ length: STEPS + 1 }, (_, step) => step ? colour(`--${dark ? "d" : "l"}${step}`) : "");
    const stateColours = { complete: colour("--pale"), missing: colour("--missing"), failed: colour("--failed"), changed: colour("--changed") };
    const rowHeight = Math.min(ROW * ratio, canvas.height / Math.max(order.length, 1));
    const lines = rowHeight >= 1 ? order.length : canvas.height;
    const columnWidth = canvas.width / Math.max(shown.length, 1);
    for (let line = 0; line < lines; line++) {
      const from = rowHeight >= 1 ? line : Math.floor(line * order.length / lines);
      const to = rowHeight >= 1 ? line + 1 : Math.max(from + 1, Math.floor((line + 1) * order.length / lines));
      const top = rowHeight >= 1 ? Math.round(line * rowHeight) : line;
      const bottom = rowHeight >= 1 ? Math.round((line + 1) * rowHeight) : line + 1;
      for (let at = 0; at < shown.length; at++) {
        let fill = "";
        if (view.measure === "state") {
          let worst = -1;
          for (let position = from; position < to; position++) worst = Math.max(worst, STATES.indexOf(stateOf(order[position], shown[at])));
          if (worst >= 0) fill = stateColours[STATES[worst]];
        } else {
          let sum = 0;
          for (let position = from; position < to; position++) sum += stepOf(amount(order[position], shown[at]));
          fill = ramp[Math.round(sum / (to - from))];
        }
        if (!fill) continue;
        context.fillStyle = fill;
        context.fillRect(Math.round(at * columnWidth), top, Math.max(1, Math.round((at + 1) * columnWidth) - Math.round(at * columnWidth)), bottom - top);
      }
    }
    const inSight = scroller.clientHeight / Math.max(scroller.scrollHeight, 1);
    if (!isPrint && inSight < 1) {
      const image = document.createElement("canvas");
      [image.width, image.height] = [canvas.width, canvas.height];
      image.getContext("2d").drawImage(canvas, 0, 0);
      canvas.onredraw = () => {
        context.clearRect(0, 0, canvas.width, canvas.height);
        context.drawImage(image, 0, 0);
        const used = rowHeight * order.length;
        context.strokeStyle = colour("--ink");
        context.lineWidth = 1.5 * ratio;
        const top = scroller.scrollTop / scroller.scrollHeight * used;
        context.strokeRect(context.lineWidth / 2, top + context.lineWidth / 2, canvas.width - context.lineWidth, Math.max(6 * ratio, inSight * used - context.lineWidth));
      };
      canvas.onredraw();
    } else canvas.onredraw = null;
  }

  // Distributions: faint all subjects, strong those that the table shows
  const SVG = "http://www.w3.org/2000/svg";
  const draw = (parent, tag, attributes, text) => {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text !== undefined) element.textContent = text;
    parent.append(element);
  };
  const everyone = subjects.map((_, subject) => subject);
  function drawBars(svg, names, count, horizontal) {
    const all = count(everyone), now = count(order), most = Math.max(...all, 1);
    svg.replaceChildren();
    if (horizontal) {
      svg.setAttribute("viewBox", `0 0 480 ${names.length * 24 + 4}`);
      names.forEach((name, at) => {
        const y = at * 24 + 4;
        draw(svg, "text", { x: 92, y: y + 12, "text-anchor": "end" }, name.length > 15 ? name.slice(0, 14) + "…" : name);
        draw(svg, "rect", { class: "all", x: 100, y, width: 310 * all[at] / most, height: 16 });
        draw(svg, "rect", { class: "now", x: 100, y, width: 310 * now[at] / most, height: 16 });
        draw(svg, "text", { x: 106 + 310 * all[at] / most, y: y + 12 }, now[at] === all[at] ? number.format(all[at]) : number.format(now[at]) + " of " + number.format(all[at]));
      });
      return;
    }
    svg.setAttribute("viewBox", "0 0 480 166");
    const step = 440 / names.length, every = Math.ceil(names.length / 12);
    draw(svg, "text", { x: 26, y: 14, "text-anchor": "end" }, number.format(most));
    draw(svg, "line", { x1: 32, x2: 472, y1: 10, y2: 10 });
    draw(svg, "line", { x1: 32, x2: 472, y1: 140, y2: 140 });
    names.forEach((name, at) => {
      const x = 32 + at * step;
      for (const [kind, counts] of [["all", all], ["now", now]]) {
        draw(svg, "rect", { class: kind, x: x + 1, y: 140 - 130 * counts[at] / most, width: Math.max(step - 2, 1), height: 130 * counts[at] / most });
      }
      if (at % every === 0) draw(svg, "text", { x, y: 155, "text-anchor": "middle" }, name);
    });
  }
  function drawCharts() {
    if (people?.ages) {
      const { column, start, width: step, bars } = people.ages;
      const count = (chosen) => {
        const counts = new Array(bars).fill(0);
        for (const subject of chosen) {
          const age = Number.parseFloat(people.rows[subject]?.[column]);
          if (Number.isFinite(age)) counts[Math.min(bars - 1, Math.max(0, Math.floor((age - start) / step)))]++;
        }
        return counts;
      };
      drawBars($("ages"), Array.from({ length: bars }, (_, at) => String(+(start + at * step).toFixed(6))), count, false);
    }
    if (people?.sexes) {
      const { column, values: names } = people.sexes;
      const count = (chosen) => {
        const counts = new Array(names.length).fill(0);
        for (const subject of chosen) {
          const row = people.rows[subject];
          if (!row) continue;
          const at = names.indexOf(row[column].trim());
          const place = at >= 0 ? at : names.indexOf(null);
          if (place >= 0) counts[place]++;
        }
        return counts;
      };
      drawBars($("sexes"), names.map((name) => name ?? "unknown"), count, true);
    }
  }

  // Choices
  function fill(select, groups) {
    const chosen = select.value;
    select.replaceChildren(...groups.flatMap(([name, options]) => {
      const made = options.map(([key, text]) => make("option", { value: key }, text));
      return name ? [make("optgroup", { label: name }, ...made)] : made;
    }));
    if ([...select.options].some((option) => option.value === chosen)) select.value = chosen;
  }
  function choose() {
    shown = columns.map((_, index) => index).filter((index) => !view.dataset || columns[index].dataset === view.dataset);
    const kinds = shown.map((column) => [column, view.dataset ? full(columns[column]).split(" / ").slice(1).join(" / ") : full(columns[column])]);
    fill($("rows"), [
      ["", [["all", "all subjects"], ["complete", "with every kind"], ["gaps", "with gaps"], ...(hasState ? [["problems", "with problems"]] : [])]],
      ["without", kinds.map(([column, text]) => ["not:" + column, "without " + text])],
      ["with", kinds.map(([column, text]) => ["has:" + column, "with " + text])],
    ]);
    view.rows = $("rows").value;
    if (view.sort.by.startsWith("c") && !shown.includes(Number(view.sort.by.slice(1)))) view.sort = { by: "subject", up: true };
    setTotals();
    redraw();
  }
  function redraw() {
    setLimits();
    drawLegend();
    drawHeader();
    arrange();
  }

  const datasets = [...new Set(columns.map((column) => column.dataset))];
  fill($("dataset"), [["", [["", "everything"], ...datasets.map((name) => [name, name])]]]);
  view.dataset = datasets.length === 1 || columns.length > 30 ? datasets[0] ?? "" : "";
  $("dataset").value = view.dataset;
  $("dataset").parentElement.hidden = datasets.length < 2;
  const buttons = make("div");
  for (const [key, text] of MEASURES) {
    const input = make("input", { type: "radio", name: "measure", value: key });
    input.checked = key === view.measure;
    buttons.append(make("label", {}, input, text));
  }
  $("measures").append(buttons);
  if (people?.columns.length) {
    const main = [people.ages?.column, people.sexes?.column].filter((column) => column !== undefined && column !== null);
    const start = main.length ? main : [0];
    start.sort((a, b) => a - b).forEach((column) => view.people.add(column));
    const place = $("picker").querySelector("fieldset");
    people.columns.forEach((name, column) => {
      const input = make("input", { type: "checkbox", value: column });
      input.checked = view.people.has(column);
      place.append(make("label", {}, input, make("bdi", {}, name)));
    });
    $("picker").hidden = false;
    place.addEventListener("change", () => {
      view.people = new Set([...place.querySelectorAll(":checked")].map((input) => Number(input.value)));
      redraw();
    });
    $("picker").addEventListener("keydown", (event) => {
      if (event.key === "Escape") { $("picker").open = false; $("picker").querySelector("summary").focus(); }
    });
    document.addEventListener("click", (event) => { if (!$("picker").contains(event.target)) $("picker").open = false; });
  }

  $("tools").addEventListener("submit", (event) => event.preventDefault());
  $("search").addEventListener("input", (event) => { view.search = event.target.value.trim(); arrange(); });
  $("rows").addEventListener("change", (event) => { view.rows = event.target.value; arrange(); });
  $("dataset").addEventListener("change", (event) => { view.dataset = event.target.value; choose(); });
  buttons.addEventListener("change", (event) => { view.measure = event.target.value; redraw(); });
  $("table").tHead.addEventListener("click", (event) => {
    const by = event.target.closest("button")?.dataset.by;
    if (!by) return;
    const isText = by === "subject" || (by.startsWith("p") && !numeric[Number(by.slice(1))]);
    view.sort = view.sort.by === by ? { by, up: !view.sort.up } : { by, up: isText };
    drawHeader();
    arrange();
  });
  let waiting = 0;
  $("scroller").addEventListener("scroll", () => {
    waiting ||= requestAnimationFrame(() => { waiting = 0; drawRows(); canvas.onredraw?.(); });
  }, { passive: true });
  const jump = (event) => {
    const scroller = $("scroller"), used = Math.min(canvas.clientHeight, ROW * order.length);
    scroller.scrollTop = (event.offsetY / used) * scroller.scrollHeight - scroller.clientHeight / 2;
  };
  canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); jump(event); });
  canvas.addEventListener("pointermove", (event) => { if (event.buttons) jump(event); });
  addEventListener("resize", () => { first = -1; drawRows(); drawOverview(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawOverview());
  addEventListener("beforeprint", () => {
    first = -1;
    drawRows(true);
    $("printed").hidden = order.length <= PRINTED;
    $("printed").textContent = `The first ${number.format(PRINTED)} of ${number.format(order.length)} subjects; the page itself has all.`;
  });
  addEventListener("afterprint", () => { $("printed").hidden = true; first = -1; drawRows(); });

  // Without a subject there is nothing to search.
  $("tools").hidden = $("grid").hidden = !height;
  // A short table needs no second picture of itself.
  canvas.hidden = height <= 30;
  choose();
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
})();
