import type { MessageSigning, MessageText } from "../core/webhook-message.js";
import { openwopScheme } from "./schemes/openwop.js";
import type { SignedMessage } from "./schemes/scheme.js";
import { snapstateScheme } from "./schemes/snapstate.js";

/** All headers of one attempt at a message. Those that sign it come last: a message cannot replace them. */
export function messageHeaders(
  { headers, signing, body }: Pick<MessageText, "headers" | "signing" | "body">,
  timestampS: number,
): Readonly<Record<string, string>> {
  const signed = signing === null ? {} : schemeHeaders(signing, { body, timestampS });
  return { "content-type": "application/json", ...headers, ...signed };
}

function schemeHeaders(signing: MessageSigning, message: SignedMessage): Readonly<Record<string, string>> {
  switch (signing.scheme) {
    case "snapstate":
      return snapstateScheme(signing, message);
    case "openwop":
      return openwopScheme(signing, message);
    default:
      return signing satisfies never;
  }
}
