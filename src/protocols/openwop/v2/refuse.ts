import type { JsonObject } from "../../../core/json.js";
import { isJsonObject, parseJsonText, toJsonText } from "../../../core/json.js";
import type { Refusal, RefusedRequest } from "../../../http/mounts/protocol-face.js";
import { refuse } from "../errors.js";

/** Codes that the second major has another name for. */
const RENAMED: Readonly<Record<string, string>> = {
  workflow_not_found: "not_found",
  subscription_not_found: "not_found",
  interrupt_gone: "interrupt_cancelled",
};

/** As of the first major, with the codes of the second. */
export function refuse2(error: unknown, at: RefusedRequest): Refusal {
  const refusal = refuse(error, at);
  const envelope = parseJsonText(refusal.body);
  const said: JsonObject = isJsonObject(envelope) ? envelope : {};
  const { error: code } = said;
  const renamed = typeof code === "string" ? RENAMED[code] : undefined;
  return renamed === undefined ? refusal : { ...refusal, body: toJsonText({ ...said, error: renamed }) };
}
