import { by, type Cases } from "./variant.js";

/** Deliveries are for operators: whoever is confined to his own rows is refused, whatever there is. */
export const webhookCases: Cases = {
  "GET /webhooks/deliveries": [
    { ...by("all", () => "/webhooks/deliveries"), lists: true },
    by("of a thread", ({ threadId }) => `/webhooks/deliveries?thread_id=${threadId}`),
    by("of a run", ({ runId }) => `/webhooks/deliveries?run_id=${runId}`),
  ],
  "GET /webhooks/deliveries/:delivery_id": [by("one", ({ runId }) => `/webhooks/deliveries/msg_${runId}`)],
  "POST /webhooks/deliveries/:delivery_id/redeliver": [
    by(
      "one",
      ({ runId }) => `/webhooks/deliveries/msg_${runId}/redeliver`,
      () => ({}),
    ),
  ],
};
