// The chart of one pair's prices by pool; without the chart library the page works in numbers.

import { byId, element, follow, say } from "./dom.js";
import { moment, price } from "./format.js";

const SPAN = 300; // seconds shown
const MOST = 3000; // points kept of a pair
const HEIGHT = 240;
const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3]];

/** What has been seen of one pair: points in time, and each pool's price at them. */
class Track {
  constructor() { this.times = []; this.values = new Map(); this.latest = new Map(); }

  put(pool, time, value) {
    const last = this.times.length - 1;
    if (!this.values.has(pool)) this.values.set(pool, this.times.map(() => null));
    this.latest.set(pool, value);
    if (last >= 0 && time <= this.times[last]) {
      this.values.get(pool)[last] = value;
      return;
    }
    this.times.push(time);
    for (const [name, values] of this.values) values.push(this.latest.get(name) ?? null);
    this.#forget(time);
  }

  drop(pool, time) {
    if (this.latest.delete(pool)) this.#mark(time);
  }

  /** A break: nothing is known of what was between. */
  break(time) { this.latest.clear(); this.#mark(time); }

  #mark(time) {
    const last = this.times.at(-1);
    if (last === undefined) return;
    this.times.push(Math.max(time, last + 0.001));
    for (const [name, values] of this.values) values.push(this.latest.get(name) ?? null);
  }

  #forget(time) {
    let old = 0;
    while (old < this.times.length - 2 && (this.times[old + 1] < time - SPAN || this.times.length - old > MOST)) old += 1;
    if (old < 64) return; // in one go, now and then
    this.times.splice(0, old);
    for (const values of this.values.values()) values.splice(0, old);
  }
}

export class Chart {
  #library = null;
  #plot = null;
  #shape = "";
  #tracks = new Map();

  constructor() { this.since = Date.now() / 1000; }

  async load() {
    if (document.documentElement.dataset.chart !== "yes") return;
    try {
      this.#library = (await import("./vendor/uPlot.esm.js")).default;
    } catch { return; }
    const style = document.createElement("link");
    style.rel = "stylesheet";
    style.href = new URL("./vendor/uPlot.min.css", import.meta.url).href;
    document.head.append(style);
    byId("chart").hidden = false;
    new ResizeObserver(() => this.#plot?.setSize({ width: this.#width(), height: HEIGHT })).observe(byId("plot"));
    document.addEventListener("themechange", () => { this.#shape = ""; });
  }

  put(item, time) {
    if (!this.#tracks.has(item.pair)) this.#tracks.set(item.pair, new Track());
    const track = this.#tracks.get(item.pair);
    if (item.gone) track.drop(item.pool, time);
    else track.put(item.pool, time, Number(item.price)); // a line needs no more digits than a float has
  }

  break(time) { for (const track of this.#tracks.values()) track.break(time); }

  /** Draw a pair up to the present, or up to its last point if that is not known. */
  draw(pair, present) {
    const track = this.#tracks.get(pair);
    if (!this.#library || !track?.times.length) return;
    const pools = [...track.values.keys()].sort();
    const shape = `${pair}|${pools.join("|")}|${document.documentElement.dataset.theme}|${getComputedStyle(document.body).color}`;
    if (shape !== this.#shape) this.#make(pair, pools, shape);
    const end = present ?? track.times.at(-1);
    const ahead = end > track.times.at(-1) && track.latest.size > 0;
    const data = [ahead ? [...track.times, end] : track.times];
    for (const pool of pools) {
      const values = track.values.get(pool);
      data.push(ahead ? [...values, track.latest.get(pool) ?? null] : values);
    }
    this.#plot.batch(() => {
      this.#plot.setData(data, false);
      this.#plot.setScale("x", { min: Math.max(end - SPAN, Math.min(this.since, end - 30)), max: end });
    });
    say(byId("chart-note"), `The last 5 minutes at most, since ${moment(this.since)}; history begins when this page is opened.`);
    byId("plot").setAttribute("aria-label", `Price of ${pair} by pool: ${pools.filter((p) => track.latest.has(p)).map((p) => `${p} ${track.latest.get(p)}`).join(", ")}`);
  }

  #width() { return Math.max(240, byId("plot").clientWidth); }

  #make(pair, pools, shape) {
    this.#plot?.destroy();
    this.#shape = shape;
    const ink = getComputedStyle(byId("chart-note")).color;
    const grid = getComputedStyle(byId("plot")).borderTopColor;
    const colors = [1, 2, 3, 4, 5].map((number) => probe(`line-${number}`));
    const axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: "12px system-ui, sans-serif" };
    const times = (_, splits) => splits.map((time) => moment(time));
    this.#plot = new this.#library({
      width: this.#width(), height: HEIGHT, pxAlign: 0,
      cursor: { drag: { x: false, y: false } },
      legend: { show: false },
      scales: { x: { time: true, auto: false }, y: { range: (_, low, high) => padded(low, high) } },
      axes: [{ ...axis, values: times, space: 90 }, { ...axis, size: 76, values: (_, splits) => splits.map((v) => price(plain(v))) }],
      series: [
        {},
        ...pools.map((pool, place) => ({
          label: pool, stroke: colors[place % colors.length], width: 2, dash: DASHES[Math.floor(place / colors.length) % DASHES.length],
          paths: this.#library.paths.stepped({ align: 1 }), points: { show: false },
        })),
      ],
    }, [[], ...pools.map(() => [])], byId("plot"));
    follow(byId("legend"), pools.map((pool, place) => ({ pool, line: place % colors.length + 1 })), ({ pool, line }) => `${pool} ${line}`,
      ({ pool, line }) => element("li", "", [element("span", `swatch line-${line}`), element("span", "", pool)]), () => {});
  }
}

/** A float without exponent. */
const plain = (value) => (Math.abs(value) < 1e-6 ? value.toFixed(18) : String(value));

function padded(low, high) {
  if (low === null || high === null) return [0, 1];
  const room = (high - low || Math.abs(high) * 0.001 || 1) * 0.1;
  return [low - room, high + room];
}

/** The colour that the style sheet gives a class, for the canvas. */
function probe(name) {
  const made = document.createElement("span");
  made.className = name;
  document.body.append(made);
  const { color } = getComputedStyle(made);
  made.remove();
  return color;
}
