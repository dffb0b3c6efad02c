import { z } from "zod";
import type { HeddleError } from "../../core/errors.js";
import { isHeddleError } from "../../core/errors.js";
import type { JsonText } from "../../core/json.js";
import { toJsonText } from "../../core/json.js";
import { encodeError, encodeUnexpected } from "../../wire/errors.js";
import type { ProtocolFace, Refusal } from "../protocol.js";

/** What the original numbers errors of validation with. */
const VALIDATION_CODE = 10_422;

/** What the client is told not to send again: nothing but time and another process could cure the others. */
const CURABLE: ReadonlySet<HeddleError["code"]> = new Set(["SHUTTING_DOWN", "STORAGE_UNAVAILABLE"]);

export const errorSchema = z
  .object({
    message: z.string().optional(),
    code: z.int().optional(),
    status_code: z.int().optional().meta({ description: "In place of `code` where a request is not valid." }),
    data: z.null().optional(),
    detail: z.string().optional().meta({ description: "In place of all else where the caller is not known." }),
  })
  .meta({ id: "AgentexError" });

/** Every failure as the original words it (docs/wire/agentex-states.md): statuses are those of the LangGraph API. */
export const refuse: ProtocolFace["refuse"] = (error, { requestId, kind }): Refusal => {
  if (kind === "no-route") return refusal(404, envelope(404, "Not Found"));
  if (kind === "wrong-method") return refusal(405, envelope(405, "Method Not Allowed"));
  const known = isHeddleError(error) ? error : null;
  const reply = known === null ? encodeUnexpected(requestId) : encodeError(known, requestId);
  const { detail } = JSON.parse(reply.body) as { readonly detail: string };
  // Python's framework knows no 400 for what is no JSON.
  const status = known?.code === "MALFORMED_JSON" ? 422 : reply.status;
  const final = status === 409 || (status >= 500 && !(known !== null && CURABLE.has(known.code)));
  return refusal(status, bodyOf(status, detail), {
    ...(known !== null && reply.headers),
    ...(final && { "x-should-retry": "false" }),
  });
};

function bodyOf(status: number, message: string): JsonText {
  if (status === 401) return toJsonText({ detail: message });
  if (status === 422) return toJsonText({ status_code: VALIDATION_CODE, message, data: null });
  return envelope(status, message);
}

function envelope(code: number, message: string): JsonText {
  return toJsonText({ message, code, data: null });
}

function refusal(status: number, body: JsonText, headers: Readonly<Record<string, string>> = {}): Refusal {
  return { status, body, headers };
}
