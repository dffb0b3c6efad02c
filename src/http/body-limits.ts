import { HeddleError } from "../core/errors.js";
import { isJsonObject } from "../core/json.js";
import { parseBody } from "../wire/json.js";

/** What a JSON document from a client may be. */
export interface BodyLimits {
  /** Objects and arrays inside one another. */
  readonly maxJsonDepth: number;
  /** Characters of an id, a name, a key or a label of a namespace. */
  readonly maxNameChars: number;
  /** Characters of `metadata` as JSON. */
  readonly maxMetadataChars: number;
}

/** Fields of bodies and of commands' params that hold an id or a name. */
const NAMES = [
  "assistant_id",
  "thread_id",
  "run_id",
  "graph_id",
  "checkpoint_id",
  "cron_id",
  "interrupt_id",
  "subscription_id",
  "name",
  "key",
];
/** Lists of them. */
const LISTS = ["namespace", "namespace_prefix", "prefix", "suffix", "ids", "thread_ids", "run_ids"];

/**
 * Parse what a client sends.
 * @throws SyntaxError
 * @throws HeddleError `INVALID_REQUEST` for what is over a limit, which it names
 */
export function parseLimited(text: string, limits: BodyLimits): unknown {
  // A document of this depth has an opening and a closing bracket for each level.
  if (text.length > 2 * limits.maxJsonDepth && isDeeper(text, limits.maxJsonDepth)) {
    throw new HeddleError("INVALID_REQUEST", {
      message: `The JSON is nested too deeply: at most ${limits.maxJsonDepth} levels (limits.maxJsonDepth)`,
    });
  }
  const document = parseBody(text);
  // What is in it can't be longer than itself: small documents are not looked at.
  if (text.length > Math.min(limits.maxNameChars, limits.maxMetadataChars)) {
    for (const part of Array.isArray(document) ? (document as readonly unknown[]) : [document]) checkPart(part, limits);
  }
  return document;
}

const QUOTE = 34;
const BACKSLASH = 92;

/** Whether objects and arrays are nested deeper; strings are jumped over. Well-formed or not: the parser judges that. */
export function isDeeper(text: string, maxDepth: number): boolean {
  let depth = 0;
  for (let i = 0; i < text.length; i += 1) {
    const code = text.codePointAt(i) ?? 0;
    if (code === QUOTE) {
      i = endOfString(text, i);
      // `[` and `{`, which differ in one bit; so do `]` and `}`.
    } else if ((code | 32) === 123) {
      depth += 1;
      if (depth > maxDepth) return true;
    } else if ((code | 32) === 125) depth -= 1;
  }
  return false;
}

/** The closing quote of the string that opens at `start`, or the end of the text. */
export function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (text.codePointAt(end - 1 - backslashes) === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return end;
  }
  return text.length;
}

function checkPart(part: unknown, limits: BodyLimits): void {
  if (!isJsonObject(part)) return;
  checkFields(part, "", limits);
  // A command of the event protocol.
  if (isJsonObject(part["params"])) checkFields(part["params"], "params.", limits);
}

function checkFields(fields: Readonly<Record<string, unknown>>, prefix: string, limits: BodyLimits): void {
  const { maxNameChars, maxMetadataChars } = limits;
  for (const name of NAMES) checkName(fields[name], prefix + name, maxNameChars);
  for (const name of LISTS) {
    const list = fields[name];
    if (Array.isArray(list)) list.forEach((entry, i) => checkName(entry, `${prefix}${name}.${i}`, maxNameChars));
  }
  const { metadata } = fields as { readonly metadata?: unknown };
  if (isJsonObject(metadata) && JSON.stringify(metadata).length > maxMetadataChars) {
    throw new HeddleError("INVALID_REQUEST", {
      message: `${prefix}metadata: is too large: at most ${maxMetadataChars} characters as JSON (limits.maxMetadataChars)`,
    });
  }
}

function checkName(value: unknown, field: string, maxChars: number): void {
  if (typeof value !== "string" || value.length <= maxChars) return;
  throw new HeddleError("INVALID_REQUEST", {
    message: `${field}: is too long: at most ${maxChars} characters (limits.maxNameChars)`,
  });
}
