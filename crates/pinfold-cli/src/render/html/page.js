// Draws the machine at a row of the trace of `report`; rows and what is said of them have the same
// numbers. The elements are below `root`, and keys are heard there until `ended` aborts.
"use strict";
const picture = (report, root, ended) => {
  const trace = report.trace;
  if (!trace || trace.rows.length === 0) return;
  const rows = trace.rows;
  const told = report.explained ?? [];
  const nothing = { pages: [], frames: [], handles: [], translations: [] };
  const scene = (at) => told[at]?.scene ?? nothing;
  const byId = (id) => root.querySelector(`#${id}`);
  const slider = byId("row");

  // Each lane's steps: the row at which one begins and the last row that belongs to it.
  const steps = [];
  const current = new Map();
  rows.forEach((row, at) => {
    if (row.lane === null || row.kind === "switch") return;
    if (row.kind === "step") {
      const step = { lane: row.lane, number: row.step, text: row.text, begins: at, ends: at };
      steps.push(step);
      current.set(row.lane, step);
    } else if (current.has(row.lane)) {
      current.get(row.lane).ends = at;
    }
  });

  const free = (frame) => frame.refs + frame.maps === 0;
  const holds = (frame) => frame.words.map((word) => `"${word}"`).join(" ");
  // Of a large folio the first page has the counts, which are of all.
  const isHead = (frame) => !frame.folio || frame.folio.split("+")[0] === frame.name;

  // Sentences, the same as the text form has.
  const words = {
    page: (one) => `${one.name} has the entry ${one.entry}`,
    frame: (one) => free(one)
      ? `${one.name} is free`
      : `${one.name}${one.folio ? ` of folio ${one.folio}` : ""} on node ${one.node} holds `
        + [`${holds(one)}${isHead(one) ? `: ref ${one.refs} map ${one.maps}` : ""}`,
          ...(one.tail ? [`of its own ref ${one.tail}`] : []),
          ...(one.exclusive ? ["exclusive"] : [])].join(", "),
    handle: (one) => `${one.name} ${one.pin ? "pins" : "holds"} ${one.frames.join(" ")}`,
    translation: (one) => `the TLB of cpu${one.cpu} has ${one.frame} for ${one.page}, `
      + (one.writable ? "to read and write" : "to read")
      + (one.stale ? ", which the entry no longer says" : ""),
  };

  const make = (name, attributes = {}, text) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };

  // Where the columns are, and how wide their boxes; on a phone what CPUs remember is below.
  const WIDE = { width: 802, cpu: [0, 150], page: [180, 170], frame: [430, 190], handle: [700, 100] };
  const NARROW = { width: 432, cpu: [0, 130], page: [0, 130], frame: [175, 150], handle: [350, 80] };
  const narrow = window.matchMedia("(max-width: 50rem)");
  const HEIGHT = 64, GAP = 10, HEAD = 24;

  const box = ([x, width], top, index, lines, changed, name) => {
    const y = top + index * (HEIGHT + GAP);
    const group = make("g", { class: `${changed ? "changed" : ""} ${name ?? ""}` });
    group.append(make("rect", { x, y, width, height: HEIGHT, rx: 5 }));
    lines.forEach((line, at) => group.append(
      make("text", { x: x + 8, y: y + 18 + at * 19, class: at > 0 ? "faint" : "" }, line)));
    return { group, left: [x, y + HEIGHT / 2], right: [x + width, y + HEIGHT / 2] };
  };

  const path = ([x0, y0], [x1, y1], name) => {
    const bend = (x1 - x0) / 2;
    return make("path", { d: `M${x0} ${y0}C${x0 + bend} ${y0} ${x1 - bend} ${y1} ${x1} ${y1}`, class: name });
  };

  const draw = (at) => {
    const now = scene(at), before = at > 0 ? scene(at - 1) : nothing;
    const same = (kind, key, one) => before[kind].some(
      (other) => key(other) === key(one) && JSON.stringify(other) === JSON.stringify(one));
    // A frame that is free and that nothing leads to any more is not worth a box.
    const led = new Set([
      ...now.pages.map((one) => one.frame),
      ...now.handles.flatMap((one) => one.frames),
      ...now.translations.map((one) => one.frame),
    ]);
    const frames = now.frames.filter((one) => !free(one) || led.has(one.name));
    const columns = narrow.matches ? NARROW : WIDE;
    const tall = (...lists) => HEAD + Math.max(1, ...lists.map((list) => list.length)) * (HEIGHT + GAP);
    const right = tall(frames, now.handles);
    const cpus = narrow.matches ? tall(now.pages) : 0;
    const height = Math.max(right, tall(now.pages), cpus + tall(now.translations));
    const svg = make("svg", {
      viewBox: `0 0 ${columns.width} ${height}`, role: "img", "aria-labelledby": "said",
    });
    const heads = {
      cpu: ["TLBs", cpus], page: ["page tables", 0], frame: ["frames", 0], handle: ["devices", 0],
    };
    for (const [column, [text, top]] of Object.entries(heads)) {
      svg.append(make("text", { x: columns[column][0], y: top + 14, class: "faint" }, text));
    }
    const lines = make("g");
    svg.append(lines);
    const place = new Map();
    frames.forEach((one, index) => {
      const counts = free(one) ? "free" : isHead(one) ? `ref ${one.refs} map ${one.maps}` : `of ${one.folio}`;
      const own = one.tail ? `, own ref ${one.tail}` : "";
      const changed = !same("frames", (other) => other.name, one);
      const where = `node ${one.node}${one.exclusive ? ", exclusive" : ""}`;
      const drawing = box(columns.frame, HEAD, index,
        [`${one.name}  ${free(one) ? "" : holds(one)}`, counts + own, where], changed, free(one) ? "free" : "");
      place.set(one.name, drawing);
      svg.append(drawing.group);
    });
    now.pages.forEach((one, index) => {
      const changed = !same("pages", (other) => other.name, one);
      const drawing = box(columns.page, HEAD, index, [one.name, one.entry], changed);
      svg.append(drawing.group);
      const frame = place.get(one.frame);
      const name = one.writable ? "write" : one.readable ? "" : "shut";
      if (frame) lines.append(path(drawing.right, frame.left, name));
    });
    now.handles.forEach((one, index) => {
      const changed = !same("handles", (other) => other.name, one);
      const drawing = box(columns.handle, HEAD, index, [one.name, one.pin ? "pin" : "get"], changed);
      svg.append(drawing.group);
      for (const name of one.frames) {
        const frame = place.get(name);
        if (frame) lines.append(path(frame.right, drawing.left, "device"));
      }
    });
    now.translations.forEach((one, index) => {
      const changed = !same("translations", (other) => `${other.cpu} ${other.page}`, one);
      const what = [`cpu${one.cpu}  ${one.page}`, `${one.frame} ${one.writable ? "rw" : "ro"}`];
      if (one.stale) what.push("STALE");
      const drawing = box(columns.cpu, cpus + HEAD, index, what, changed, one.stale ? "stale" : "");
      svg.append(drawing.group);
      const frame = place.get(one.frame);
      if (frame) lines.append(path(drawing.right, frame.left, one.stale ? "stale" : "cpu"));
    });
    byId("drawing").replaceChildren(svg);
    const list = [
      ...now.pages.map(words.page), ...frames.map(words.frame),
      ...now.handles.map(words.handle), ...now.translations.map(words.translation),
    ];
    byId("words").replaceChildren(...list.map((text) => {
      const item = document.createElement("li");
      item.textContent = text;
      return item;
    }));
  };

  const show = (at, scroll) => {
    const row = rows[at];
    const lane = row.lane === null ? "" : `${trace.lanes[row.lane].name}: `;
    slider.value = at;
    slider.setAttribute("aria-valuetext", `row ${at + 1} of ${rows.length}: ${lane}${row.text}`);
    byId("where").textContent = `${at + 1} / ${rows.length}`;
    byId("said").textContent = `${row.step === null ? "" : `step ${row.step}, `}${lane}${row.text}`;
    byId("meaning").textContent = told[at]?.meaning ?? "";
    const decision = told[at]?.decision;
    const parts = [
      decision ? `Rule ${decision["in-force"]}: ${decision.text}` : "", told[at]?.sum ?? "",
    ].filter((part) => part !== "");
    byId("rule").textContent = parts.length > 0 ? `${parts.join("; ")}.` : "";
    const open = steps.filter((step) => step.begins <= at && at < step.ends && step.lane !== row.lane);
    const now = steps.findLast((step) => step.begins <= at && step.lane === row.lane);
    byId("open").textContent = open.map((step) => {
      // Where its lane has its next row.
      const back = rows.findIndex((one, later) => later > at && one.lane === step.lane && one.kind !== "switch");
      const by = now ? ` is interrupted by step ${now.number} of ${trace.lanes[now.lane].name}` : " is not finished";
      const on = back < 0 ? "does not go on, as the run ends before" : `goes on in row ${back + 1}`;
      return `step ${step.number} of ${trace.lanes[step.lane].name}${by}, and ${on}`;
    }).join("; ");
    // Within a step counts are of a moment: references that it takes for a while are in them.
    const next = rows[at + 1];
    const within = row.kind !== "switch" && next?.kind === "note" && next.lane === row.lane;
    byId("when").textContent = row.kind === "step" && within ? "The picture: as the step begins."
      : within ? "The picture: within the step." : now && now.ends > at
        ? "The picture: where the step is interrupted." : "The picture: at the end of the step.";
    root.querySelector("tr[aria-current]")?.removeAttribute("aria-current");
    const line = byId(`row${at}`);
    line.setAttribute("aria-current", "step");
    if (scroll) line.scrollIntoView({ block: "nearest" });
    draw(at);
  };

  const at = () => Number(slider.value);
  narrow.addEventListener("change", () => draw(at()), { signal: ended });
  const go = (to) => show(Math.min(rows.length - 1, Math.max(0, to)), true);
  slider.max = rows.length - 1;
  root.querySelector(".controls").hidden = false;
  slider.addEventListener("input", () => show(at(), true));
  byId("back").addEventListener("click", () => go(at() - 1));
  byId("on").addEventListener("click", () => go(at() + 1));
  rows.forEach((_, number) => byId(`row${number}`).addEventListener("click", () => show(number, false)));
  root.addEventListener("keydown", (event) => {
    // The slider has keys of its own.
    if (event.target === slider || event.ctrlKey || event.altKey || event.metaKey) return;
    const steps = { ArrowLeft: -1, ArrowRight: 1 };
    if (event.key in steps) { go(at() + steps[event.key]); event.preventDefault(); }
  }, { signal: ended });
  // The last row is where the damage shows.
  show(report.broken ? rows.length - 1 : 0, false);
};
