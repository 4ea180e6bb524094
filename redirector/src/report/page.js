"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
// Red is for failures alone.
const palette = ["#4269d0", "#e5a50a", "#3ca951", "#a463f2", "#38b2bd", "#e178a8", "#9c6b4e", "#7d93b5", "#8aa33a", "#c47a2c"];
const colour = rule => rule < palette.length ? palette[rule] : `hsl(${(rule * 137.5 + 60) % 300 + 30} 45% 55%)`;
// A canvas knows neither variables nor light-dark(): an element's computed colour is plain.
const probe = document.body.appendChild(document.createElement("i"));
probe.hidden = true;
const token = name => { probe.style.color = `var(${name})`; return getComputedStyle(probe).color; };
const duration = ms => ms < 1000 ? `${Math.round(ms)} ms` : ms < 60e3 ? `${(ms / 1000).toFixed(1)} s`
  : ms < 3600e3 ? `${Math.floor(ms / 60e3)} m ${Math.round(ms % 60e3 / 1000)} s`
  : `${Math.floor(ms / 3600e3)} h ${Math.round(ms % 3600e3 / 60e3)} m`;

for (const swatch of document.querySelectorAll("[data-rule]"))
  swatch.style.background = colour(data.rules.indexOf(swatch.dataset.rule));

const legend = document.getElementById("legend");
for (const [label, background] of [...data.rules.slice(0, 20).map((rule, number) => [rule, colour(number)]),
  ...(data.nodes.some(node => node.bars.some(bar => bar[4])) ? [["failed", "var(--bad)"]] : [])]) {
  const entry = document.createElement("span"), swatch = document.createElement("i");
  swatch.style.background = background;
  entry.append(swatch, label);
  legend.append(entry);
}

const table = document.getElementById("rules");
table.querySelectorAll("th").forEach((head, column) => head.firstChild.addEventListener("click", () => {
  const falling = head.getAttribute("aria-sort") !== "descending";
  table.querySelectorAll("th").forEach(other => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", falling ? "descending" : "ascending");
  const value = row => row.cells[column].dataset.value;
  const order = head.classList.contains("text") ? (a, b) => value(b).localeCompare(value(a)) : (a, b) => value(b) - value(a);
  const rows = [...table.tBodies[0].rows].sort(order);
  table.tBodies[0].append(...(falling ? rows : rows.reverse()));
}));

// The timeline: a block for each node, a row for each lane.
const canvas = document.querySelector("canvas"), tip = document.getElementById("tip");
const axis = 26, title = 22, gap = 10;
const lanes = data.nodes.reduce((sum, node) => sum + node.lanes, 0);
const row = Math.max(3, Math.min(20, Math.floor(900 / Math.max(lanes, 1))));
const tops = [];
let height = axis;
for (const node of data.nodes) { tops.push(height + title); height += title + node.lanes * row + gap; }
const byLane = data.nodes.map(node => {
  const rows = Array.from({ length: node.lanes }, () => []);
  for (const bar of node.bars) rows[bar[1]].push(bar);
  return rows;
});
const whole = { from: 0, to: Math.max(data.length, 1) * 1.01 };
let view = { ...whole }, width = 0, hovered = null, wanted = false;
const x = ms => (ms - view.from) / (view.to - view.from) * width;

function steps() {
  const least = (view.to - view.from) / Math.max(2, width / 110);
  const units = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 10e3, 15e3, 30e3, 60e3, 120e3, 300e3, 600e3, 900e3, 1800e3,
    3600e3, 7200e3, 14400e3, 21600e3, 43200e3, 86400e3];
  return units.find(unit => unit >= least) || Math.ceil(least / 86400e3) * 86400e3;
}

function draw() {
  wanted = false;
  const scale = window.devicePixelRatio || 1, pen = canvas.getContext("2d");
  width = canvas.clientWidth;
  canvas.style.height = `${height}px`;
  canvas.width = width * scale; canvas.height = height * scale;
  pen.scale(scale, scale);
  pen.font = "12px system-ui, sans-serif";
  const step = steps();
  for (let at = Math.ceil(view.from / step) * step; at <= view.to; at += step) {
    pen.fillStyle = token("--line"); pen.fillRect(Math.round(x(at)), axis - 6, 1, height - axis);
    pen.fillStyle = token("--faint"); pen.fillText(at ? duration(at).replace(/ 0 [sm]$|\.0(?= s)/, "") : "0", x(at) + 4, axis - 12);
  }
  const bad = token("--bad"), thick = Math.max(row - (row > 6 ? 3 : 1), 2);
  data.nodes.forEach((node, number) => {
    pen.fillStyle = token("--text"); pen.fillText(node.name, 0, tops[number] - 7);
    // Failures last and never thinner than can be seen: they are what is looked for.
    for (const bar of [...node.bars.filter(bar => !bar[4]), ...node.bars.filter(bar => bar[4])]) {
      const failed = bar[4], from = x(bar[2]), to = x(bar[3]);
      if (to < 0 || from > width) continue;
      const left = Math.max(from, -2), right = Math.min(to, width + 2);
      const long = Math.max(failed ? 3 : 1, right - left - (to - from > 4 ? 1 : 0));
      const top = tops[number] + bar[1] * row;
      pen.globalAlpha = bar === hovered || failed ? 1 : 0.85;
      pen.fillStyle = failed ? bad : colour(bar[0]);
      pen.fillRect(left, top, long, thick);
      if (failed && long > 6) { pen.fillStyle = colour(bar[0]); pen.fillRect(left, top, 4, thick); }
      if (row >= 14 && long > 60) {
        pen.save(); pen.beginPath(); pen.rect(left, top, long - 4, thick); pen.clip();
        pen.globalAlpha = 1; pen.fillStyle = "#fff";
        pen.fillText(data.rules[bar[0]], left + (failed ? 9 : 6), top + thick - 4.5);
        pen.restore();
      }
    }
    pen.globalAlpha = 1;
  });
  if (!lanes) { pen.fillStyle = token("--faint"); pen.fillText("No job has been started.", 0, axis + 14); }
}
const redraw = () => { if (!wanted) { wanted = true; requestAnimationFrame(draw); } };

function barAt(px, py) {
  for (let number = 0; number < data.nodes.length; number++) {
    const lane = Math.floor((py - tops[number]) / row);
    if (lane < 0 || lane >= data.nodes[number].lanes) continue;
    let best = null, distance = 3;
    for (const bar of byLane[number][lane]) {
      const away = Math.max(x(bar[2]) - px, px - x(bar[3]), 0);
      if (away < distance) { best = bar; distance = away; }
    }
    return best;
  }
  return null;
}

let drag = null;
canvas.addEventListener("pointermove", event => {
  if (drag) {
    const moved = (drag.x - event.offsetX) / width * (view.to - view.from);
    view = { from: drag.from + moved, to: drag.to + moved };
    tip.hidden = true;
    return redraw();
  }
  const bar = barAt(event.offsetX, event.offsetY);
  if (bar !== hovered) { hovered = bar; redraw(); }
  tip.hidden = !bar;
  if (!bar) return;
  const [rule, , from, to, , id, attempt, outcome, cpus, command] = bar;
  tip.textContent = `${data.rules[rule]} ${id}${attempt > 1 ? `, attempt ${attempt}` : ""}: ${outcome}\n`
    + `${duration(to - from)} on ${cpus} cpu${cpus === "1" ? "" : "s"}, from ${duration(from)} (${new Date(data.begin + from).toLocaleTimeString()})\n${command}`;
  tip.style.left = `${Math.max(0, Math.min(event.offsetX + 14, width - tip.offsetWidth - 4))}px`;
  tip.style.top = `${event.offsetY + 18}px`;
});
canvas.addEventListener("pointerleave", () => { tip.hidden = true; hovered = null; redraw(); });
canvas.addEventListener("pointerdown", event => { drag = { x: event.offsetX, ...view }; canvas.setPointerCapture(event.pointerId); });
canvas.addEventListener("pointerup", () => { drag = null; });
canvas.addEventListener("dblclick", () => { view = { ...whole }; redraw(); });
canvas.addEventListener("wheel", event => {
  event.preventDefault();
  const factor = Math.exp(event.deltaY / 400), fixed = view.from + event.offsetX / width * (view.to - view.from);
  const span = Math.min(Math.max((view.to - view.from) * factor, 2), whole.to * 2);
  const part = event.offsetX / width;
  view = { from: fixed - span * part, to: fixed + span * (1 - part) };
  redraw();
}, { passive: false });
window.addEventListener("resize", redraw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
draw();
