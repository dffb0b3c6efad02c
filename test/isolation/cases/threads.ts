import { v7 } from "uuid";
import { type Ids, SECRET } from "../things.js";
import { by, byOwn, type Cases, lists, type Variant } from "./variant.js";

const T =
  (rest = "") =>
  ({ threadId }: Ids) =>
    `/threads/${threadId}${rest}`;
const OWN =
  (rest = "") =>
  (_: Ids, { threadId }: Ids) =>
    `/threads/${threadId}${rest}`;

/** docs/wire/langgraph-api.md §7.5: an id that is taken is told. */
const taken = (name: string, more: object): Variant => ({
  ...by(
    `over a taken id, ${name}`,
    () => "/threads",
    ({ threadId }) => ({ thread_id: threadId, ...more }),
  ),
  differs: { section: "§7.5", hidden: 409, missing: 200 },
});

/** What one may not see is passed over, and neither counted nor measured. */
const pruned = (name: string, more: object): Variant =>
  by(
    name,
    () => "/threads/prune",
    ({ threadId, busyId, keptThreadId }) => ({ thread_ids: [threadId, busyId, keptThreadId], ...more }),
  );

const supersteps = [{ updates: [{ values: { n: 1 }, as_node: "one" }] }];

export const threadCases: Cases = {
  "POST /threads": [
    taken("raise", { if_exists: "raise" }),
    taken("do_nothing", { if_exists: "do_nothing" }),
    taken("with state", { metadata: { graph_id: "counter" }, supersteps }),
    taken("with state, do_nothing", { metadata: { graph_id: "counter" }, supersteps, if_exists: "do_nothing" }),
    taken("with another's mark", { metadata: { owner: "ann", tenant: "ann" }, if_exists: "do_nothing" }),
  ],
  "POST /threads/search": [
    lists("all", "/threads/search", () => ({})),
    lists("page", "/threads/search", () => ({ limit: 1, offset: 1, sort_by: "updated_at", sort_order: "asc" })),
    lists("by ids", "/threads/search", (ids) => ({ ids: [ids.threadId, ids.busyId, ids.keptThreadId] })),
    lists("by metadata", "/threads/search", () => ({ metadata: { topic: SECRET } })),
    lists("by another's mark", "/threads/search", () => ({ metadata: { owner: "ann", tenant: "ann" } })),
    lists("by status", "/threads/search", () => ({ status: "interrupted" })),
    lists("by values", "/threads/search", () => ({ values: { question: SECRET } })),
    lists("fields", "/threads/search", () => ({ select: ["thread_id", "values"], extract: { q: "values.question" } })),
  ],
  "POST /threads/count": [
    lists("all", "/threads/count", () => ({})),
    lists("by status", "/threads/count", () => ({ status: "busy" })),
    lists("by metadata", "/threads/count", () => ({ metadata: { topic: SECRET } })),
    lists("by values", "/threads/count", () => ({ values: { question: SECRET } })),
  ],
  "GET /threads/:thread_id": [
    by("get", T()),
    by("its time to live", T("?include=ttl")),
    by("of a stateless run", ({ keptThreadId }) => `/threads/${keptThreadId}`),
  ],
  "PATCH /threads/:thread_id": [
    by("metadata", T(), () => ({ metadata: { topic: "mine" } })),
    by("take over", T(), () => ({ metadata: { owner: "me", tenant: "me" } })),
    by("nothing", T(), () => ({})),
    by("its time to live", T(), () => ({ ttl: 5 })),
    by("for ever", T(), () => ({ ttl: null })),
    {
      name: "without a body in return",
      request: (ids) => ({ path: T()(ids), body: { metadata: { x: 1 } }, headers: { prefer: "return=minimal" } }),
    },
  ],
  "DELETE /threads/:thread_id": [
    by("at rest", T()),
    by("busy", ({ busyId }) => `/threads/${busyId}`),
    by("of a stateless run", ({ statelessThreadId }) => `/threads/${statelessThreadId}`),
  ],
  "POST /threads/:thread_id/copy": [
    by("at rest", T("/copy")),
    by("busy", ({ busyId }) => `/threads/${busyId}/copy`),
    by("the latest", T("/copy"), () => ({ mode: "latest" })),
    by("the last two", T("/copy"), () => ({ mode: "last_n", n: 2 })),
  ],
  "POST /threads/prune": [
    pruned("delete", {}),
    pruned("keep the latest", { strategy: "keep_latest" }),
    pruned("count what a deletion takes", { dry_run: true }),
    pruned("count what is old", { strategy: "keep_latest", dry_run: true }),
  ],
  "GET /threads/:thread_id/storage": [
    by("at rest", T("/storage")),
    by("busy", ({ busyId }) => `/threads/${busyId}/storage`),
  ],
  "GET /threads/:thread_id/state": [
    by("state", T("/state")),
    by("with subgraphs", ({ interruptedId }) => `/threads/${interruptedId}/state?subgraphs=true`),
    by("some of it", T("/state?select=values.messages")),
  ],
  "POST /threads/:thread_id/state": [
    by("values", T("/state"), () => ({ values: { messages: [] } })),
    by(
      "of a busy thread",
      ({ busyId }) => `/threads/${busyId}/state`,
      () => ({ values: { text: "x" } }),
    ),
    by("as a node", T("/state"), () => ({ values: { messages: [] }, as_node: "say" })),
    by("at its checkpoint", T("/state"), ({ checkpointId }) => ({ values: {}, checkpoint_id: checkpointId })),
    byOwn("own thread, another's checkpoint", OWN("/state"), ({ checkpointId }) => ({
      values: { messages: [] },
      checkpoint: { checkpoint_id: checkpointId },
    })),
    byOwn("own thread, another thread's checkpoint", OWN("/state"), ({ threadId, checkpointId }) => ({
      values: { messages: [] },
      checkpoint: { thread_id: threadId, checkpoint_id: checkpointId, checkpoint_ns: "" },
    })),
  ],
  "POST /threads/:thread_id/state/checkpoint": [
    by("at its checkpoint", T("/state/checkpoint"), ({ checkpointId }) => ({
      checkpoint: { checkpoint_id: checkpointId },
    })),
    byOwn("own thread, another's checkpoint", OWN("/state/checkpoint"), ({ checkpointId }) => ({
      checkpoint: { checkpoint_id: checkpointId },
      subgraphs: true,
    })),
    byOwn("own thread, another thread's checkpoint", OWN("/state/checkpoint"), ({ threadId, checkpointId }) => ({
      checkpoint: { thread_id: threadId, checkpoint_id: checkpointId, checkpoint_ns: "" },
    })),
    byOwn("own thread, another thread's latest", OWN("/state/checkpoint"), ({ threadId }) => ({
      checkpoint: { thread_id: threadId, checkpoint_ns: "" },
    })),
    byOwn("own thread, another's checkpoint in a map", OWN("/state/checkpoint"), ({ threadId, checkpointId }) => ({
      checkpoint: { thread_id: threadId, checkpoint_map: { "": checkpointId } },
    })),
  ],
  "GET /threads/:thread_id/state/:checkpoint_id": [
    by("at its checkpoint", ({ threadId, checkpointId }) => `/threads/${threadId}/state/${checkpointId}`),
    by("at none", T(`/state/${v7()}`)),
    byOwn("own thread, another's", ({ checkpointId }, { threadId }) => `/threads/${threadId}/state/${checkpointId}`),
  ],
  "GET /threads/:thread_id/history": [
    by("history", T("/history")),
    by("before", ({ threadId, checkpointId }) => `/threads/${threadId}/history?limit=5&before=${checkpointId}`),
  ],
  "POST /threads/:thread_id/history": [
    by("history", T("/history"), () => ({})),
    by("by metadata", T("/history"), () => ({ metadata: { source: "loop" }, limit: 100 })),
    byOwn("own thread, at another thread's checkpoint", OWN("/history"), ({ threadId, checkpointId }) => ({
      checkpoint: { thread_id: threadId, checkpoint_id: checkpointId, checkpoint_ns: "" },
    })),
    byOwn("own thread, another thread's", OWN("/history"), ({ threadId }) => ({ checkpoint: { thread_id: threadId } })),
    byOwn("own thread, by another's run", OWN("/history"), ({ runId, threadId }) => ({
      metadata: { run_id: runId, thread_id: threadId },
    })),
  ],
  "GET /threads/:thread_id/stream": [
    by("follow", T("/stream?stream_modes=run_modes&stream_modes=lifecycle")),
    { name: "from the start", request: (ids) => ({ path: T("/stream")(ids), headers: { "last-event-id": "-1" } }) },
  ],
  "POST /threads/:thread_id/stream/events": [
    {
      ...by("everything", T("/stream/events"), () => ({
        channels: ["values", "updates", "messages", "tools", "lifecycle", "input", "checkpoints", "tasks", "custom"],
      })),
      follows: true,
    },
    { ...by("ends", T("/stream/events"), () => ({ channels: ["lifecycle"], since: 3 })), follows: true },
    {
      name: "after an event",
      follows: true,
      request: (ids) => ({
        path: T("/stream/events")(ids),
        body: { channels: ["values"] },
        headers: { "last-event-id": "1" },
      }),
    },
  ],
  "GET /threads/:thread_id/stream/events": [
    { ...by("without an upgrade", T("/stream/events")), asksNobody: "it is refused for what it is, to everybody" },
  ],
};
