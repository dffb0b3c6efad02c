import { z } from "zod";
import type { JsonObject, JsonValue } from "../../core/json.js";

/** What a JSON Schema has against a value: in words, with the path of what is wrong; `null`: nothing. */
export type SchemaCheck = (value: JsonValue) => string | null;

/**
 * A check by a JSON Schema of a user's; `null` for one that zod (4.6, `z.fromJSONSchema`) cannot read, such as one with `if`: then nothing
 * is checked by it.
 */
export function schemaCheck(schema: JsonObject): SchemaCheck | null {
  let parser: z.ZodType;
  try {
    parser = z.fromJSONSchema(schema);
  } catch {
    return null;
  }
  return (value) => {
    const { error } = parser.safeParse(value);
    if (error === undefined) return null;
    return error.issues.map(({ path, message }) => [path.join("."), message].filter(Boolean).join(": ")).join("; ");
  };
}
