import { z } from "zod";
import type { JsonObject, JsonValue } from "../core/json.js";
import { isJsonObject } from "../core/json.js";

const isPair = (value: JsonValue): boolean =>
  Array.isArray(value) && value.length === 2 && typeof (value as readonly JsonValue[])[0] === "string";

const isDestination = (value: JsonValue): boolean =>
  typeof value === "string" || (isJsonObject(value) && typeof value["node"] === "string");

const isUpdate = (value: JsonValue): boolean => isJsonObject(value) || (Array.isArray(value) && value.every(isPair));

const isGoto = (value: JsonValue): boolean =>
  isDestination(value) || (Array.isArray(value) && value.every(isDestination));

/**
 * A command, kept as sent: `resume` any value, `update` an object or `[key, value]` pairs, `goto` a node, `{node, input}`
 * or several. Other keys (RemoteGraph's `lg_name`) are tolerated (docs/wire/langgraph-api.md §2.2, appendix C).
 */
export const command = z
  .custom<JsonObject>(isJsonObject, "expected an object")
  .superRefine((value, context) => {
    const { update, goto } = value;
    if (update !== undefined && update !== null && !isUpdate(update)) {
      context.addIssue({ code: "custom", path: ["update"], message: "expected an object or [key, value] pairs" });
    }
    if (goto !== undefined && goto !== null && !isGoto(goto)) {
      context.addIssue({
        code: "custom",
        path: ["goto"],
        message: "expected a node name, {node, input} or a list of them",
      });
    }
  })
  .meta({
    id: "Command",
    type: "object",
    properties: {
      resume: {},
      update: { type: ["object", "array", "null"] },
      goto: { type: ["string", "object", "array", "null"] },
    },
    additionalProperties: true,
  });
