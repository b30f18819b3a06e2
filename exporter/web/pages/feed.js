// The connection to `/ws`: tickets, subscription, resumption, reconnects with backoff and jitter, measured latency.

import { Refusal, ask } from "./api.js";
import { EVENTS, TOPICS } from "./state.js";

const PROTOCOL = "arb.live.v1";
const FIRST_WAIT = 500;
const LONGEST_WAIT = 30000;
const STEADY = 10000; // a connection that has lasted so long was a good one
const PING_EVERY = 5000;
const REMEMBERED = 50; // latencies of news
const BUSY = 1013;

const now = () => performance.timeOrigin + performance.now();

export class Feed extends EventTarget {
  constructor() {
    super();
    this.state = "connecting"; // connecting, live, waiting
    this.reason = "";
    this.heard = -Infinity; // when anything came, on the monotonic clock
    this.retryAt = 0;
    this.heartbeat = 5;
    this.roundTrip = NaN;
    this.#since = {};
  }

  #socket = null;
  #since;
  #session = null;
  #tries = 0;
  #timer = 0;
  #pings = 0;
  #opened = 0;
  #sent = [];
  #ahead = 0; // of the server's clock, in milliseconds
  #certain = Infinity; // the round trip that this was measured with
  #late = [];
  #mending = new Set(); // topics of which something is missing, until their next snapshot

  start() {
    addEventListener("online", () => this.#hurry());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.#hurry());
    setInterval(() => this.#watch(), 1000);
    this.#connect();
  }

  /** Milliseconds from when the exporter learned something until it was here: the median of the last ones. */
  get ageOfNews() {
    const sorted = [...this.#late].sort((a, b) => a - b);
    return sorted.length ? sorted[sorted.length >> 1] : NaN;
  }

  /** Whether nothing has been heard for longer than a heartbeat can take. */
  get silent() { return performance.now() - this.heard > this.heartbeat * 1500 + 500; }

  /** The present by the server's clock, in epoch seconds. */
  get serverTime() { return (now() + this.#ahead) / 1000; }

  async #connect() {
    this.#tell("connecting", this.reason);
    let ticket;
    try {
      ticket = (await ask("ws-ticket", { method: "POST" })).ticket;
    } catch (error) {
      this.#wait(error instanceof Refusal ? error.message : "the exporter does not answer");
      return;
    }
    const url = new URL("ws", document.baseURI);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.searchParams.set("ticket", ticket);
    const socket = new WebSocket(url, PROTOCOL);
    this.#socket = socket;
    this.#opened = 0;
    this.heard = performance.now();
    socket.onmessage = ({ data }) => socket === this.#socket && this.#take(JSON.parse(data));
    socket.onclose = ({ code, reason }) => socket === this.#socket && this.#closed(code, reason);
  }

  #take(message) {
    this.heard = performance.now();
    switch (message.type) {
      case "hello": this.#begin(message); break;
      case "snapshot": case "update": this.#news(message); break;
      case "pong": this.#pong(message); break;
      case "gap": this.#gap(message); break;
      case "error": console.warn("the feed says:", message.message); break;
      default: // heartbeats are only heard
    }
  }

  #begin({ session, heartbeat_s: heartbeat }) {
    this.#opened = performance.now();
    this.heartbeat = heartbeat;
    const known = Object.keys(this.#since).length > 0;
    const wish = known ? { session: this.#session, since: this.#since } : {};
    this.#send({ op: "subscribe", topics: TOPICS, ...wish });
    if (session !== this.#session) {
      for (const topic of Object.keys(this.#since)) this.#missed(topic);
      this.#since = {};
    }
    this.#session = session;
    this.#certain = Infinity;
    this.#ping();
    this.#tell("live", "");
  }

  #news(message) {
    const { topic, type, seq, prev, ts, data } = message;
    if (EVENTS.includes(topic)) {
      if (type === "snapshot") this.#mending.delete(topic);
      else if (this.#mending.has(topic)) return;
      else if (topic in this.#since && prev !== this.#since[topic]) { this.#mend(topic); return; }
      this.#since[topic] = seq;
    }
    if (type === "update") this.#measure(data, ts);
    this.dispatchEvent(new CustomEvent("news", { detail: message }));
  }

  /** Something is missing: ask for it once more, from where it was whole. */
  #mend(topic) {
    this.#mending.add(topic);
    this.#send({ op: "subscribe", topics: [topic], session: this.#session, since: { [topic]: this.#since[topic] } });
  }

  #gap({ topic, from, to }) {
    if (EVENTS.includes(topic)) this.#since[topic] = Math.max(to, this.#since[topic] ?? 0);
    if (from > 0) this.#missed(topic); // from the very beginning: that of another run, told already
  }

  #missed(topic) { this.dispatchEvent(new CustomEvent("gap", { detail: topic })); }

  #measure(data, ts) {
    const learned = data.reduce((newest, item) => (item.ts > newest ? item.ts : newest), 0) || ts;
    if (!Number.isFinite(this.#certain)) return; // the clocks have not been compared yet
    this.#late.push(Math.max(0, now() + this.#ahead - learned * 1000));
    if (this.#late.length > REMEMBERED) this.#late.shift();
  }

  #ping() {
    clearTimeout(this.#pings);
    this.#pings = setTimeout(() => this.#ping(), PING_EVERY);
    if (this.#sent.length < 5 && this.#send({ op: "ping" })) this.#sent.push(now());
  }

  #pong({ ts }) {
    const sent = this.#sent.shift();
    if (sent === undefined) return;
    const came = now();
    this.roundTrip = came - sent;
    if (this.roundTrip <= this.#certain) { // the shortest trip compares the clocks best
      this.#certain = this.roundTrip;
      this.#ahead = ts * 1000 - (sent + came) / 2;
    }
    this.dispatchEvent(new Event("latency"));
  }

  #send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  #watch() {
    if (this.#socket && performance.now() - this.heard > this.heartbeat * 2000 + 2000) {
      this.#socket.close();
      this.#closed(0, "nothing was heard for too long");
    }
  }

  #closed(code, reason) {
    const refused = this.#opened === 0;
    if (!refused && performance.now() - this.#opened > STEADY) this.#tries = 0;
    if (code === 1001) reason = "the exporter was stopped";
    else if (code === BUSY) reason = "this page was too slow to keep up";
    else if (refused) reason = "the exporter takes no more connections now";
    this.#wait(reason || "the connection was lost");
  }

  #wait(reason) {
    this.#socket = null;
    this.#sent = [];
    this.#mending.clear();
    clearTimeout(this.#pings);
    const longest = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.#tries);
    this.#tries = Math.min(this.#tries + 1, 10);
    const wait = longest * (0.5 + Math.random() / 2);
    this.retryAt = performance.now() + wait;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), wait);
    this.#tell("waiting", reason);
  }

  /** Somebody looks again, or the network is back: no reason to wait any longer. */
  #hurry() {
    if (this.state !== "waiting") return;
    clearTimeout(this.#timer);
    this.#tries = 0;
    this.#connect();
  }

  #tell(state, reason) {
    this.state = state;
    this.reason = reason;
    this.dispatchEvent(new Event("state"));
  }
}
