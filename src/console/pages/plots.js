// Plots of the last minutes, drawn with SVG.

import { make } from "./parts.js";

const WIDTH = 600;
const HEIGHT = 150;

/** Seconds that are shown at least. */
const SHOWN_MIN = 60;

const NAMES = "http://www.w3.org/2000/svg";

function draw(tag, attributes) {
  const element = document.createElementNS(NAMES, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

const whole = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en-GB", { maximumSignificantDigits: 3 });
const STEPS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** A figure for people. */
export function number(value, unit = "") {
  if (value === null || value === undefined) return "–";
  if (unit === "bytes") {
    let step = 0;
    while (value >= 1024 && step < STEPS.length - 1) [value, step] = [value / 1024, step + 1];
    return `${short.format(value)} ${STEPS[step]}`;
  }
  if (unit === "ms") return `${short.format(value)} ms`;
  return whole.format(value);
}

/** The end of an axis: the next of 1, 2 and 5 with zeros. */
function round(value, unit) {
  if (value <= 0) return 1;
  if (unit === "bytes") return 2 ** Math.ceil(Math.log2(value));
  const ten = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * ten).find((step) => step >= value);
}

/** A time before now, in words. */
function ago(seconds) {
  return seconds % 60 === 0 ? `${seconds / 60} min ago` : `${seconds} s ago`;
}

/** Some figures over time. A cursor, moved by pointer or keys, tells those of a second. */
export class Plot {
  #unit;
  #series;
  #lines;
  #values;
  #chart;
  #cursor;
  #top = make("span", "", "top-value");
  #when = make("span", "now", "when");
  #rows = [];
  #away;
  #begin = make("span");
  /** Seconds before now at which the cursor stands; `null` for no cursor. */
  #at = null;

  constructor([title, unit, series]) {
    this.#unit = unit;
    this.#series = Object.keys(series);
    this.element = make("figure", "", "card plot");
    const caption = document.createElement("figcaption");
    caption.append(make("h2", title));
    const legend = make("ul", "", "legend");
    this.#values = this.#series.map((name, place) => {
      const entry = make("li");
      const swatch = draw("svg", { viewBox: "0 0 24 6", class: `swatch s${place}`, "aria-hidden": "true" });
      swatch.append(draw("path", { d: "M0 3H24" }));
      const value = make("b");
      entry.append(swatch, make("span", series[name]), value);
      legend.append(entry);
      return value;
    });
    caption.append(legend);
    this.#chart = draw("svg", {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: "none",
      role: "slider",
      tabindex: "0",
      "aria-label": `${title}: seconds before now`,
      "aria-valuemin": "0",
    });
    this.#away = draw("path", { class: "away" });
    this.#chart.append(this.#away);
    for (const part of [0, 0.5, 1]) {
      const y = HEIGHT * part;
      this.#chart.append(draw("path", { class: "grid", d: `M0 ${y}H${WIDTH}` }));
    }
    this.#lines = this.#series.map((_, place) => draw("path", { class: `line s${place}` }));
    this.#cursor = draw("path", { class: "cursor", d: "" });
    this.#chart.append(...this.#lines, this.#cursor);
    const frame = make("div", "", "chart");
    const foot = make("p", "", "axis");
    foot.append(this.#begin, this.#when);
    frame.append(this.#top, this.#chart);
    this.element.append(caption, frame, foot);
    this.#listen();
  }

  #listen() {
    const chart = this.#chart;
    const move = (at) => {
      const most = Math.max(0, this.#rows.length - 1);
      this.#at = at === null ? null : Math.min(Math.max(at, 0), most);
      this.#tell();
    };
    chart.addEventListener("pointermove", ({ clientX }) => {
      const { left, width } = chart.getBoundingClientRect();
      move(Math.round((1 - (clientX - left) / width) * this.#span));
    });
    chart.addEventListener("pointerleave", () => move(null));
    chart.addEventListener("blur", () => move(null));
    const steps = { ArrowLeft: 1, ArrowDown: 1, ArrowRight: -1, ArrowUp: -1, PageDown: 30, PageUp: -30 };
    chart.addEventListener("keydown", (event) => {
      const here = this.#at ?? 0;
      if (event.key in steps) move(here + steps[event.key]);
      else if (event.key === "Home") move(this.#span);
      else if (event.key === "End") move(0);
      else if (event.key === "Escape") move(null);
      else return;
      event.preventDefault();
    });
  }

  /** Draws rows of one second each, the last of them now. */
  draw(rows) {
    this.#rows = rows;
    const values = rows.flatMap((row) => this.#series.map((name) => row[name] ?? 0));
    const top = round(Math.max(0, ...values), this.#unit);
    this.#top.textContent = number(top, this.#unit);
    const before = this.#span + 1 - rows.length;
    const x = (place) => (((before + place) / this.#span) * WIDTH).toFixed(1);
    this.#begin.textContent = ago(this.#span);
    this.#series.forEach((name, place) => {
      let path = "";
      let isDown = false;
      rows.forEach((row, at) => {
        const value = row[name];
        const y = (HEIGHT * (1 - (value ?? 0) / top)).toFixed(1);
        // A single value between none is a dash.
        if (value !== null) path += isDown ? `L${x(at)} ${y}` : `M${x(at)} ${y}m-4 0h4`;
        isDown = value !== null;
      });
      this.#lines[place].setAttribute("d", path);
    });
    const width = (WIDTH / this.#span).toFixed(1);
    const away = rows.map((row, at) => (row.natsConnected ? "" : `M${x(at)} 0h${width}V${HEIGHT}h-${width}z`));
    this.#away.setAttribute("d", away.join(""));
    this.#tell();
  }

  /** Seconds between the ends of the axis. */
  get #span() {
    return Math.max(SHOWN_MIN, this.#rows.length - 1);
  }

  /** Tells the values at the cursor, or the latest. */
  #tell() {
    const at = this.#at ?? 0;
    const row = this.#rows.at(-1 - at) ?? {};
    const texts = this.#series.map((name, place) => {
      const text = number(row[name], this.#unit);
      this.#values[place].textContent = text;
      return `${this.#values[place].previousSibling.textContent} ${text}`;
    });
    const isAway = row.natsConnected === false ? ", NATS away" : "";
    const when = (at === 0 ? "now" : ago(at)) + isAway;
    this.#when.textContent = when;
    const x = ((1 - at / this.#span) * WIDTH).toFixed(1);
    this.#cursor.setAttribute("d", this.#at === null ? "" : `M${x} 0V${HEIGHT}`);
    this.#chart.setAttribute("aria-valuemax", String(Math.max(0, this.#rows.length - 1)));
    this.#chart.setAttribute("aria-valuenow", String(at));
    this.#chart.setAttribute("aria-valuetext", `${when}: ${texts.join(", ")}`);
  }
}
