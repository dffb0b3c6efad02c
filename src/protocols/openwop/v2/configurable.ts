import { z } from "zod";
import type { JsonObject, JsonValue } from "../../../core/json.js";
import { isJsonObject } from "../../../core/json.js";
import { decodeBody } from "../decode.js";

const RUN = ["recursionLimit", "runTimeoutMs"] as const;
const AI = ["model", "temperature", "maxTokens", "promptOverrides", "mockProvider"] as const;
/** Whose extension the options of graphs are that the protocol has no name for. */
const EXTENSION = "langgraph";

const members = (names: readonly string[]) =>
  z.strictObject(Object.fromEntries(names.map((name) => [name, z.json().optional()])));

/**
 * `configurable` of the second major: nested, versioned and closed. What has no effect here (`budget`, `distillation`, `ai.provider`, …) is
 * refused and not ignored.
 */
export const configurableBody = z
  .strictObject({
    version: z.literal(1),
    run: members(RUN).optional(),
    ai: members(AI).optional(),
    extensions: z.strictObject({ [EXTENSION]: z.record(z.string(), z.json()).optional() }).optional(),
  })
  .meta({ id: "OpenwopConfigurable2" });

/**
 * As the first major has it. openwop-client 2.7.0 sends a null for each member that is not set: they are absent.
 * @throws OpenwopRefusal `validation_error`
 */
export function flatOptions(sent: JsonValue): JsonObject {
  const configurable = isJsonObject(sent) ? withoutNulls(sent) : sent;
  const {
    run = {},
    ai = {},
    extensions = {},
  } = decodeBody(z.object({ configurable: configurableBody }), { configurable }).configurable;
  return { ...extensions[EXTENSION], ...defined(run), ...defined(ai) };
}

/** As the second major has it. */
export function nestedOptions(configurable: JsonObject): JsonObject {
  const run = picked(configurable, RUN);
  const ai = picked(configurable, AI);
  const named = new Set<string>([...RUN, ...AI]);
  const own = Object.fromEntries(Object.entries(configurable).filter(([key]) => !named.has(key)));
  return {
    version: 1,
    ...(Object.keys(run).length > 0 && { run }),
    ...(Object.keys(ai).length > 0 && { ai }),
    ...(Object.keys(own).length > 0 && { extensions: { [EXTENSION]: own } }),
  };
}

function withoutNulls(options: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== null));
}

function picked(options: JsonObject, names: readonly string[]): JsonObject {
  return Object.fromEntries(names.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]]])));
}

function defined(options: Readonly<Record<string, JsonValue | undefined>>): JsonObject {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}
