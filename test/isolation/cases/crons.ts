import { type Ids, SECRET, YEARLY } from "../things.js";
import { by, type Cases, lists, type Variant } from "./variant.js";

const CRONS = "/runs/crons";
const input = { messages: [{ role: "user", content: "hi", id: "m1" }] };
const echo = { assistant_id: "echo", input, schedule: YEARLY };
const at = ({ cronId }: Ids): string => `${CRONS}/${cronId}`;
const forThread = (name: string, path: (ids: Ids) => string, body: (ids: Ids) => object): Variant =>
  by(name, (ids) => `/threads/${path(ids)}/runs/crons`, body);

/** docs/wire/langgraph-api.md §2.8: what is hidden is missing, as for threads (§7.5). */
export const cronCases: Cases = {
  "POST /runs/crons": [
    by(
      "of another's assistant",
      () => CRONS,
      ({ assistantId }) => ({ ...echo, assistant_id: assistantId }),
    ),
    by(
      "on another's thread, in its configuration",
      () => CRONS,
      ({ threadId }) => ({ ...echo, config: { configurable: { thread_id: threadId } } }),
    ),
  ],
  "POST /threads/:thread_id/runs/crons": [
    forThread(
      "for another's thread",
      ({ threadId }) => threadId,
      () => echo,
    ),
    forThread(
      "for another's busy thread",
      ({ busyId }) => busyId,
      () => ({ ...echo, multitask_strategy: "interrupt" }),
    ),
  ],
  "POST /runs/crons/search": [
    lists("all", `${CRONS}/search`, () => ({})),
    lists("by assistant", `${CRONS}/search`, ({ assistantId }) => ({ assistant_id: assistantId })),
    lists("by thread", `${CRONS}/search`, ({ threadId }) => ({ thread_id: threadId })),
    lists("by metadata", `${CRONS}/search`, () => ({ metadata: { topic: SECRET } })),
    lists("by another's mark", `${CRONS}/search`, () => ({ metadata: { owner: "ann", tenant: "ann" } })),
    lists("a page", `${CRONS}/search`, () => ({ limit: 1, offset: 1, sort_by: "next_run_date", sort_order: "asc" })),
  ],
  "POST /runs/crons/count": [
    lists("all", `${CRONS}/count`, () => ({})),
    lists("by thread", `${CRONS}/count`, ({ threadId }) => ({ thread_id: threadId, enabled: true })),
    lists("by metadata", `${CRONS}/count`, () => ({ metadata: { topic: SECRET } })),
  ],
  "GET /runs/crons/:cron_id": [by("another's", at)],
  "PATCH /runs/crons/:cron_id": [
    by("switch it off", at, () => ({ enabled: false })),
    by("take it over", at, () => ({ metadata: { owner: "me", tenant: "me" }, input: { text: "mine" } })),
    by("nothing", at, () => ({})),
  ],
  "DELETE /runs/crons/:cron_id": [by("another's", at)],
};
