import { createHmac } from "node:crypto";
import type { MessageScheme } from "./scheme.js";

/** Of the first major, and of the second (openwop-client 2.7.0, `WEBHOOK_HEADER_FAMILIES`): a server of both sends both, with equal values. */
const FAMILIES = ["x-openwop-", "openwop-"];

/** docs/wire/openwop.md §3.2, webhooks: timestamp and body are signed together. */
export const openwopScheme: MessageScheme<"openwop"> = (signing, { body, timestampS }) => {
  const { secret, webhookId, eventType } = signing;
  const digest = createHmac("sha256", secret).update(`${timestampS}.${body}`).digest("hex");
  const values = {
    "webhook-id": webhookId,
    "event-type": eventType,
    timestamp: String(timestampS),
    signature: `sha256=${digest}`,
    "signature-algorithm": "v1",
  };
  return Object.fromEntries(
    FAMILIES.flatMap((family) => Object.entries(values).map(([name, value]) => [family + name, value])),
  );
};
