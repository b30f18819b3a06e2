// What the page knows: the newest value per key of each state topic, the last events of the others.

const KEYS = {
  prices: ["pair", "dex", "pool"], portfolio: ["wallet", "token"], gas: [], system: [],
  storage: ["store"], memory_bank: ["directory"],
};
export const EVENTS = ["opportunities", "trades", "errors", "alerts"];
export const TOPICS = [...Object.keys(KEYS), ...EVENTS];
const KEPT = 200; // events of a topic

const keyOf = (topic, item) => JSON.stringify(KEYS[topic].map((name) => item[name]));

export class State {
  constructor() {
    this.topics = Object.fromEntries(Object.keys(KEYS).map((topic) => [topic, new Map()]));
    this.events = Object.fromEntries(EVENTS.map((topic) => [topic, []]));
    this.known = new Set(); // topics of which a snapshot has come
  }

  items(topic) { return [...this.topics[topic].values()]; }

  one(topic) { return this.topics[topic].values().next().value ?? null; }

  /** Take in a snapshot or an update; gives what was new. */
  take(message) {
    const { topic, type, data } = message;
    if (topic in KEYS) return this.#newest(topic, data, type === "snapshot");
    if (!(topic in this.events)) return [];
    this.known.add(topic);
    return this.add(topic, data, type === "snapshot");
  }

  #newest(topic, data, whole) {
    const map = this.topics[topic];
    this.known.add(topic);
    if (whole) map.clear();
    for (const item of data) {
      const key = keyOf(topic, item);
      if (item.gone) map.delete(key);
      else map.set(key, item);
    }
    return data;
  }

  /** Put events in front, the last one first; a snapshot may hold some that are known already. */
  add(topic, data, mayRepeat = false) {
    const list = this.events[topic];
    const known = mayRepeat ? new Set(list.map(identity)) : null;
    const news = known ? data.filter((item) => !known.has(identity(item))) : data;
    list.unshift(...[...news].reverse());
    list.length = Math.min(list.length, KEPT);
    return news;
  }

  /** Put older events, the newest first, behind those that are there. */
  older(topic, items) {
    const list = this.events[topic];
    const known = new Set(list.map(identity));
    list.push(...items.filter((item) => !known.has(identity(item))));
    list.length = Math.min(list.length, KEPT);
  }

  /** Some events were lost on the way: say so where they would be. */
  gap(topic) {
    const list = this.events[topic];
    if (list && !list[0]?.gap) list.unshift({ gap: true, time: Date.now() / 1000 });
  }
}

const identity = (item) => (item.id !== undefined ? `${item.source} ${item.id}` : JSON.stringify(item));
