import type { MessageSigning } from "../../core/webhook-message.js";

/** One attempt at a message. */
export interface SignedMessage {
  /** What goes over the wire, to the byte. */
  readonly body: string;
  /** Epoch seconds. */
  readonly timestampS: number;
}

/** The headers that messages of one kind have beside their own. Lower case. */
export type MessageScheme<S extends MessageSigning["scheme"]> = (
  signing: Extract<MessageSigning, { readonly scheme: S }>,
  message: SignedMessage,
) => Readonly<Record<string, string>>;
