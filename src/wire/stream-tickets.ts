import { z } from "zod";
import type { EpochMs, JsonText } from "../core/json.js";
import { decode } from "./decode.js";
import { encodeFields, type FieldEncoders, isoText, quote, toJsonText } from "./json.js";
import { uuid } from "./schema.js";

/** Body of `POST /auth/tickets`, Heddle's own. */
export const streamTicketBody = z.object({ thread_id: uuid.nullish() }).meta({ id: "StreamTicketCreate" });

export function decodeStreamTicket(body: unknown): { readonly threadId: string | null } {
  return { threadId: decode(streamTicketBody, body).thread_id?.toLowerCase() ?? null };
}

interface Answer {
  readonly ticket: string;
  readonly expiresAt: EpochMs;
  readonly threadId: string | null;
}

const ENCODERS: FieldEncoders<Answer, "ticket" | "expires_at" | "thread_id"> = {
  ticket: ({ ticket }) => quote(ticket),
  expires_at: ({ expiresAt }) => isoText(expiresAt),
  thread_id: ({ threadId }) => toJsonText(threadId),
};

export function encodeStreamTicket(answer: Answer): JsonText {
  return encodeFields(ENCODERS, answer);
}
