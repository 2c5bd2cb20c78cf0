// Numbers as analyzer/report/units.py writes them, digit for digit.
"use strict";

const PAGE_SIZE = 4096, UNKNOWN = -1, NOTHING = "-";
const BYTES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
const COUNTS = ["", "k", "M", "G", "T", "P", "E"];
const TIMES = [[86400000, "d"], [3600000, "h"], [60000, "min"], [1000, "s"]];

// toFixed rounds a tie up, Python to the even digit. x is one exactly where it is an
// odd multiple of half of what a power of two leaves of the last digit.
function fixed(x, digits) {
  if (x < 0 || Object.is(x, -0)) return "-" + fixed(-x, digits);
  const text = x.toFixed(digits);
  const tie = (x * 2 ** (digits + 1)) % 2 === 1;
  const odd = (text.charCodeAt(text.length - 1) - 48) % 2 === 1;
  return tie && odd ? (x - 10 ** -digits / 4).toFixed(digits) : text;
}

function scaled(value, base, units) {
  let x = value, at = 0;
  while (x >= base - 0.5 && at < units.length - 1) { x /= base; at++; }
  if (at === 0) return [String(value), units[0]];
  return [fixed(x, x < 9.995 ? 2 : x < 99.95 ? 1 : 0), units[at]];
}

const UNITS = {
  text: (value) => value,
  number: (value) => (value === UNKNOWN ? NOTHING : String(value)),
  count: (value) => value < 0 ? "-" + UNITS.count(-value)
    : value < 10000 ? String(value) : scaled(value, 1000, COUNTS).join(""),
  pages: (value) => UNITS.bytes(value * PAGE_SIZE),
  bytes: (value) =>
    value < 0 ? "-" + UNITS.bytes(-value) : scaled(value, 1024, BYTES).join(" "),
  profit: (value) => (value > 0 ? "+" : "") + UNITS.bytes(value),
  duration(milliseconds) {
    for (const [size, unit] of TIMES)
      if (milliseconds >= size) return fixed(milliseconds / size, 1) + " " + unit;
    return milliseconds + " ms";
  },
  share: (part, whole) => (whole ? UNITS.percent(part / whole) : NOTHING),
  percent(share) {
    const percent = 100 * share;
    return fixed(percent < 100 ? Math.min(percent, 99.9) : percent, 1) + "%";
  },
  ratio: (part, whole) => (whole ? fixed(part / whole, 1) : NOTHING),
  address: (page) => (page ? page.toString(16) + "000" : "0"),
};

function drawn(unit, values) {
  const text = UNITS[unit](...values);
  return unit !== "text" && text.length > 1 && text[0] === "-"
    ? "\u2212" + text.slice(1) : text;
}
