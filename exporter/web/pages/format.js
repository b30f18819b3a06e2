// Figures as people read them. Amounts are decimal strings and stay strings: no digit passes through a float.

export const DASH = "–";
const DECIMAL = /^(-?)(\d+)(?:\.(\d+))?$/;

/** Whether a text is a decimal number without exponent. */
export const isDecimal = (text) => typeof text === "string" && DECIMAL.test(text);

/** A decimal string rounded to so many places (half away from zero), with at least `least` of them. */
export function decimal(text, places, least = 0) {
  const parts = typeof text === "string" && DECIMAL.exec(text);
  if (!parts) return DASH;
  const [, sign, whole, fraction = ""] = parts;
  let digits = BigInt(whole + fraction.padEnd(places, "0").slice(0, places));
  if ((fraction[places] ?? "0") >= "5") digits += 1n;
  const shown = digits.toString().padStart(places + 1, "0");
  const left = shown.slice(0, shown.length - places);
  let right = places ? shown.slice(-places) : "";
  while (right.length > least && right.endsWith("0")) right = right.slice(0, -1);
  const zero = digits === 0n;
  return `${sign && !zero ? "−" : ""}${left}${right ? `.${right}` : ""}`;
}

/** A decimal string with its point moved so many places to the left, every digit kept. */
export function shifted(text, places) {
  const parts = typeof text === "string" && DECIMAL.exec(text);
  if (!parts) return null;
  const [, sign, whole, fraction = ""] = parts;
  const padded = whole.padStart(places + 1, "0");
  const left = padded.slice(0, padded.length - places).replace(/^0+(?=\d)/, "");
  return `${sign}${left}.${padded.slice(padded.length - places)}${fraction}`;
}

/** Wei as gwei: all its digits, at least four decimals. */
export function gwei(wei) {
  const text = shifted(wei, 9);
  if (text === null) return DASH;
  let [whole, fraction] = text.split(".");
  while (fraction.length > 4 && fraction.endsWith("0")) fraction = fraction.slice(0, -1);
  return `${whole}.${fraction}`;
}

/** A price: about seven digits that matter, at least two decimals. */
export function price(text) {
  if (!isDecimal(text)) return DASH;
  const [whole, fraction = ""] = text.replace("-", "").split(".");
  if (whole !== "0") return decimal(text, Math.max(2, 7 - whole.length), 2);
  const zeros = /^0*/.exec(fraction)[0].length;
  return decimal(text, Math.min(18, zeros + 7), 2);
}

/** An amount of ether: nine decimals at most, a sign where asked for. */
export function ether(text, signed = false) {
  if (!isDecimal(text)) return DASH;
  const shown = decimal(text, 9, 6);
  return signed && !shown.startsWith("−") && /[1-9]/.test(shown) ? `+${shown}` : shown;
}

/** Whether a decimal string is below, at or above zero: -1, 0, 1; null if it is none. */
export function sign(text) {
  if (!isDecimal(text)) return null;
  if (!/[1-9]/.test(text)) return 0;
  return text.startsWith("-") ? -1 : 1;
}

/** A ratio as a percentage. */
export const percent = (ratio, places = 3) => (Number.isFinite(ratio) ? `${(ratio * 100).toFixed(places).replace("-", "−")} %` : DASH);

/** A whole number in groups of three. */
export const count = (number) => (Number.isFinite(number) ? String(Math.trunc(number)).replace(/\B(?=(\d{3})+$)/g, "\u202f") : DASH);

/** A large whole decimal string in short, such as 1.2e21 as 1.20·10²¹. */
export function magnitude(text) {
  if (!isDecimal(text)) return DASH;
  const whole = text.split(".")[0];
  if (whole.length <= 6) return count(Number(whole));
  const power = String(whole.length - 1).replace(/\d/g, (digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]);
  return `${whole[0]}.${whole.slice(1, 3)}·10${power}`;
}

/** Bytes in binary units. */
export function bytes(number) {
  if (!Number.isFinite(number)) return DASH;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (number >= 1024 && unit < units.length - 1) { number /= 1024; unit += 1; }
  return `${unit ? number.toFixed(1) : number} ${units[unit]}`;
}

/** How long ago something was, in seconds. */
export function ago(seconds) {
  if (!Number.isFinite(seconds)) return DASH;
  if (seconds < 1.5) return "now";
  if (seconds < 120) return `${Math.round(seconds)} s ago`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min ago`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h ago` : `${Math.round(seconds / 86400)} d ago`;
}

/** Milliseconds for a latency. */
export const milliseconds = (ms) => (Number.isFinite(ms) ? `${ms < 10 ? Math.max(0, ms).toFixed(1) : Math.round(ms)} ms` : DASH);

const two = (number) => String(number).padStart(2, "0");

/** Epoch seconds as local time of day, with the date if that is another day's. */
export function moment(seconds, now = Date.now() / 1000) {
  if (!Number.isFinite(seconds)) return DASH;
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return DASH;
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  if (date.toDateString() === new Date(now * 1000).toDateString()) return time;
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${time}`;
}

/** Epoch seconds as an exact moment in UTC, for titles. */
export function exact(seconds) {
  const date = new Date(seconds * 1000);
  return Number.isFinite(seconds) && !Number.isNaN(date.getTime()) ? date.toISOString() : "";
}
