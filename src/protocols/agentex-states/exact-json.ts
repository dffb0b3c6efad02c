import { isHeddleError, HeddleError } from "../../core/errors.js";
import type { JsonObject, JsonText } from "../../core/json.js";
import { asJsonText, isJsonObject } from "../../core/json.js";
import { endOfString } from "../../http/body-limits.js";
import type { Exchange } from "../../http/exchange.js";

/** A body, parsed to be checked, and the text of each of its members: Python tells `1.0` from `1`, and has integers over 2^53. */
export interface ExactBody {
  readonly document: JsonObject;
  /** @returns `undefined` when the body has no such member */
  member(name: string): JsonText | undefined;
}

/** @throws HeddleError `MALFORMED_JSON`, `PAYLOAD_TOO_LARGE`, `INVALID_REQUEST` */
export async function exactBody(exchange: Pick<Exchange, "text" | "parse">): Promise<ExactBody> {
  const text = await exchange.text();
  const document = parsed(exchange, text);
  if (!isJsonObject(document)) {
    throw new HeddleError("INVALID_REQUEST", { message: "The body must be a JSON object." });
  }
  const members = memberTexts(text);
  return { document, member: (name) => members.get(name) };
}

function parsed(exchange: Pick<Exchange, "parse">, text: string): unknown {
  try {
    return exchange.parse(text);
  } catch (error) {
    throw isHeddleError(error) ? error : new HeddleError("MALFORMED_JSON", { cause: error });
  }
}

const QUOTE = 34;

/**
 * The members of an object as they are written, on one line each. Of members of one name the last counts, as for `JSON.parse`.
 * @param text a well-formed JSON object
 */
export function memberTexts(text: string): ReadonlyMap<string, JsonText> {
  const members = new Map<string, JsonText>();
  let at = text.indexOf("{") + 1;
  for (;;) {
    const open = text.indexOf('"', at);
    if (open === -1) return members;
    const close = endOfString(text, open);
    const name = JSON.parse(text.slice(open, close + 1)) as string;
    const start = text.indexOf(":", close) + 1;
    const end = endOfValue(text, start);
    // What breaks a line is white space: in strings it is escaped.
    members.set(
      name,
      asJsonText(
        text
          .slice(start, end)
          .trim()
          .replaceAll(/[\r\n]/g, " "),
      ),
    );
    if (text[end] !== ",") return members;
    at = end + 1;
  }
}

/** Where the `,` or `}` is that follows the value. */
function endOfValue(text: string, start: number): number {
  let depth = 0;
  for (let at = start; at < text.length; at += 1) {
    const code = text.codePointAt(at) ?? 0;
    if (code === QUOTE) at = endOfString(text, at);
    // `[` and `{`, which differ in one bit; so do `]` and `}`.
    else if ((code | 32) === 123) depth += 1;
    else if ((code | 32) === 125) {
      if (depth === 0) return at;
      depth -= 1;
    } else if (depth === 0 && text[at] === ",") return at;
  }
  return text.length;
}
