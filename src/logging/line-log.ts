import type { Logger } from "../core/logger.js";

type Level = "debug" | "info" | "warn" | "error";
const SEVERITY: Readonly<Record<Level | "silent", number>> = { debug: 20, info: 30, warn: 40, error: 50, silent: 100 };

/** SGR codes of ECMA-48. */
const COLOURS = { dim: 2, gray: 90, green: 32, yellow: 33, red: 31 } as const;
const PAINT: Readonly<Record<Level, keyof typeof COLOURS>> = {
  debug: "gray",
  info: "green",
  warn: "yellow",
  error: "red",
};

/**
 * A logger for people: one line per entry, `12:04:05.123 INFO  message key=value`. The stack of an error follows on lines
 * of its own.
 * @param params.write takes a whole line, with its line feed
 * @param params.now injected for tests
 */
export function createLineLogger(params: {
  readonly level: Level | "silent";
  readonly colour: boolean;
  write(line: string): void;
  now?(): Date;
}): Logger {
  const paint = (colour: keyof typeof COLOURS, text: string) =>
    params.colour ? `\u001B[${COLOURS[colour]}m${text}\u001B[0m` : text;
  const dim = (text: string) => paint("dim", text);
  const at = (level: Level) => (fields: object, message: string) => {
    if (SEVERITY[level] < SEVERITY[params.level]) return;
    const time = (params.now?.() ?? new Date()).toISOString().slice(11, 23);
    const head = `${dim(time)} ${paint(PAINT[level], level.toUpperCase().padEnd(5))} ${message}`;
    params.write(`${head}${formatFields(fields, dim)}\n`);
  };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

function formatFields(fields: object, dim: (text: string) => string): string {
  const pairs: string[] = [];
  const stacks: string[] = [];
  for (const [key, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    if (value instanceof Error) stacks.push(...stackLines(value));
    else pairs.push(`${key}=${formatValue(value)}`);
  }
  const inline = pairs.length === 0 ? "" : ` ${dim(pairs.join(" "))}`;
  return inline + stacks.map((line) => `\n  ${dim(line)}`).join("");
}

/** An error with its causes; five of them at most, for causes may form a ring. */
function stackLines(error: Error): string[] {
  const lines: string[] = [];
  let current: unknown = error;
  for (let depth = 0; depth < 5 && current instanceof Error; depth += 1) {
    lines.push(...`${depth === 0 ? "" : "caused by "}${current.stack ?? String(current)}`.split("\n"));
    current = current.cause;
  }
  return lines;
}

function formatValue(value: unknown): string {
  if (typeof value === "string") return /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return "[unprintable]";
  }
}
