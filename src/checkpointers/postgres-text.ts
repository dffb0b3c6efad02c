/**
 * Postgres has no NUL in text and no lone surrogate in JSON. Such characters are written as U+FFFE, which is no character
 * (Unicode 23.7) and so in no text, and four hex digits. Everything else is stored as it is, so that the stock saver reads it.
 */
const MARK = "\ufffe";
const UNSTORABLE = /[\0\ufffe]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
const MARKED = /\ufffe([0-9a-f]{4})/g;
/** In JSON text; also finds some texts that are fine, which then only cost a second look. */
const SUSPICIOUS_JSON = /\\u0000|\\ud[89a-f]|\ufffe/;

/** A text for a column. */
export function toText(text: string): string {
  return text.replace(UNSTORABLE, (char) => MARK + char.charCodeAt(0).toString(16).padStart(4, "0"));
}

/** What {@link toText} was given. */
export function fromText(text: string): string {
  if (!text.includes(MARK)) return text;
  return text.replace(MARKED, (_, code: string) => String.fromCharCode(parseInt(code, 16)));
}

/** JSON text for a JSONB column. */
export function toJsonb(json: string): string {
  return SUSPICIOUS_JSON.test(json) ? JSON.stringify(mapTexts(JSON.parse(json), toText)) : json;
}

/** The value of a JSONB column's text. */
export function fromJsonb(json: string): unknown {
  const value: unknown = JSON.parse(json);
  return json.includes(MARK) ? mapTexts(value, fromText) : value;
}

function mapTexts(value: unknown, map: (text: string) => string): unknown {
  if (typeof value === "string") return map(value);
  if (Array.isArray(value)) return value.map((element) => mapTexts(element, map));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [map(key), mapTexts(field, map)]));
}
