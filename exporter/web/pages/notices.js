// Alerts and recent errors, as lists.

import { byId, dress, element, follow, say } from "./dom.js";
import { count, exact, moment } from "./format.js";

/** The newest state of each alert: what fires first, then what was resolved. */
export function currentAlerts(events) {
  const newest = new Map();
  for (const item of events) if (!item.gap && !newest.has(item.fingerprint)) newest.set(item.fingerprint, item);
  return [...newest.values()].sort((a, b) => (b.state === "firing") - (a.state === "firing") || b.starts - a.starts);
}

function notice() {
  return element("li", "", [element("span", "mark"), element("span", "main"), element("time", "soft"), element("span", "sub")]);
}

function show(node, { mark, kind, words, time, more }) {
  const [badge, main, when, sub] = node.children;
  say(badge, mark);
  dress(badge, `mark ${kind}`);
  say(main, words);
  say(when, moment(time), exact(time));
  say(sub, more);
}

export function drawAlerts(events) {
  const alerts = currentAlerts(events);
  follow(document.querySelector("#alerts ul"), alerts, (alert) => alert.fingerprint, notice, (node, alert) => {
    const { labels, annotations, state } = alert;
    const severe = labels.severity === "critical" ? "bad" : "warn";
    show(node, {
      mark: state === "firing" ? (labels.severity ?? "firing") : "resolved",
      kind: state === "firing" ? severe : "good",
      words: labels.alertname ?? "an alert without a name",
      time: state === "firing" ? alert.starts : (alert.ends ?? alert.starts),
      more: annotations.summary ?? annotations.description ?? "",
    });
  });
  const firing = alerts.filter((alert) => alert.state === "firing").length;
  say(byId("alerts-count"), firing ? `${count(firing)} firing` : alerts.length ? "none fires" : "");
  dress(byId("alerts-count"), `mark ${firing ? "bad" : "good"}`);
}

function words(item) {
  if (item.gap) return { mark: "gap", kind: "wait", words: "Some were missed while the connection was away.", time: item.time, more: "" };
  if (item.kind === "log") {
    return { mark: item.level, kind: "bad", words: `${count(item.count)} in the log ${item.name}`, time: item.time, more: "" };
  }
  const fails = item.state === "failing";
  const kind = item.kind === "endpoint" ? "node" : item.kind;
  return {
    mark: fails ? "fails" : "works again", kind: fails ? "bad" : "good",
    words: `${kind} ${item.name.replaceAll("_", " ")}`, time: item.time, more: item.message ?? "",
  };
}

export function drawErrors(events) {
  follow(document.querySelector("#errors ul"), events.slice(0, 50), (item) => JSON.stringify(item), notice, (node, item) => show(node, words(item)));
}
