import { createHmac } from "node:crypto";
import type { MessageScheme } from "./scheme.js";

/** docs/wire/snapstate.md §1.1, webhooks: the body alone is signed, and only where the subscription has a secret. */
export const snapstateScheme: MessageScheme<"snapstate"> = ({ secret }, { body }) => ({
  "user-agent": "CheckpointService/1.0",
  ...(secret !== null && {
    "x-checkpoint-signature": `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`,
  }),
});
