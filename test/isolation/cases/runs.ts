import { type Ids, SECRET } from "../things.js";
import { by, byOwn, type Cases, type Variant } from "./variant.js";

const input = { messages: [{ role: "user", content: "hi", id: "m1" }] };
const echo = { assistant_id: "echo", input };

/** docs/wire/langgraph-api.md §7.5: a run is not created on a thread that is hidden, also where it would create a missing one. */
const creates = (rest: string): Variant => ({
  ...by(
    "if_not_exists create",
    ({ threadId }) => `/threads/${threadId}/runs${rest}`,
    () => ({
      ...echo,
      if_not_exists: "create",
    }),
  ),
  differs: { section: "§7.5", hidden: 404, missing: 200 },
});

/** What a new run may name beside its thread. */
const references: readonly (readonly [string, (ids: Ids) => object])[] = [
  ["another's assistant", ({ assistantId }) => ({ assistant_id: assistantId, input })],
  [
    "another's thread in its configuration",
    ({ threadId }) => ({ ...echo, config: { configurable: { thread_id: threadId } } }),
  ],
  [
    "another's checkpoint in its configuration",
    ({ threadId, checkpointId }) => ({
      ...echo,
      config: { configurable: { thread_id: threadId, checkpoint_id: checkpointId, checkpoint_ns: "" } },
    }),
  ],
  ["another's checkpoint", ({ checkpointId }) => ({ ...echo, checkpoint_id: checkpointId })],
  [
    "another thread's checkpoint",
    ({ threadId, checkpointId }) => ({ ...echo, checkpoint: { thread_id: threadId, checkpoint_id: checkpointId } }),
  ],
  ["another's mark", () => ({ ...echo, metadata: { owner: "ann", tenant: "ann" } })],
  [
    "an answer to another's question",
    ({ interruptId }) => ({ assistant_id: "ask", command: { resume: { [interruptId]: 1 } } }),
  ],
];

const creating = (rest: string): readonly [Variant, ...Variant[]] => [
  by(
    "reject",
    ({ threadId }) => `/threads/${threadId}/runs${rest}`,
    () => echo,
  ),
  creates(rest),
  ...["interrupt", "rollback", "reject", "enqueue"].map((strategy) =>
    by(
      `${strategy} what is busy`,
      ({ busyId }) => `/threads/${busyId}/runs${rest}`,
      () => ({
        assistant_id: "stuck",
        input: {},
        multitask_strategy: strategy,
      }),
    ),
  ),
  by(
    "resume",
    ({ interruptedId }) => `/threads/${interruptedId}/runs${rest}`,
    () => ({
      assistant_id: "ask",
      command: { resume: "mine" },
    }),
  ),
  ...references.map(([name, body]) =>
    byOwn(`own thread, ${name}`, (_, own) => `/threads/${own.threadId}/runs${rest}`, body),
  ),
];

const stateless = (rest: string): readonly [Variant, ...Variant[]] => {
  const [first, ...others] = references.map(([name, body]) => by(name, () => `/runs${rest}`, body));
  return [first as Variant, ...others];
};

/** One run: another's, on its thread or on one's own, or one's own on another's thread. */
const ofRun = (rest: string, body?: () => unknown): readonly [Variant, ...Variant[]] => [
  by("ended", ({ threadId, runId }) => `/threads/${threadId}/runs/${runId}${rest}`, body),
  by("running", ({ busyId, runningId }) => `/threads/${busyId}/runs/${runningId}${rest}`, body),
  by("waiting", ({ busyId, pendingId }) => `/threads/${busyId}/runs/${pendingId}${rest}`, body),
  by(
    "stateless",
    ({ statelessThreadId, statelessId }) => `/threads/${statelessThreadId}/runs/${statelessId}${rest}`,
    body,
  ),
  by("kept", ({ keptThreadId, keptRunId }) => `/threads/${keptThreadId}/runs/${keptRunId}${rest}`, body),
  byOwn("own thread, another's run", ({ runId }, own) => `/threads/${own.threadId}/runs/${runId}${rest}`, body),
  byOwn("another's thread, own run", ({ threadId }, own) => `/threads/${threadId}/runs/${own.runId}${rest}`, body),
];

/** By its id alone. */
const byRunId = (rest: string): readonly [Variant, ...Variant[]] => [
  by("stateless", ({ statelessId }) => `/runs/${statelessId}${rest}`),
  by("kept", ({ keptRunId }) => `/runs/${keptRunId}${rest}`),
  by("of a thread, ended", ({ runId }) => `/runs/${runId}${rest}`),
  by("of a thread, running", ({ runningId }) => `/runs/${runningId}${rest}`),
];

const cancels = (name: string, body: (ids: Ids) => unknown, action = ""): Variant =>
  by(name, () => `/runs/cancel${action}`, body);

export const runCases: Cases = {
  "POST /threads/:thread_id/runs": creating(""),
  "POST /threads/:thread_id/runs/stream": creating("/stream"),
  "POST /threads/:thread_id/runs/wait": creating("/wait"),
  "POST /runs": stateless(""),
  "POST /runs/stream": stateless("/stream"),
  "POST /runs/wait": stateless("/wait"),
  "POST /runs/batch": [
    by(
      "another's assistant",
      () => "/runs/batch",
      ({ assistantId }) => [{ assistant_id: assistantId }],
    ),
    by(
      "another's assistant among others",
      () => "/runs/batch",
      ({ assistantId }) => [
        { assistant_id: assistantId },
        { assistant_id: assistantId, config: { configurable: { thread_id: SECRET } } },
      ],
    ),
  ],
  "POST /runs/cancel": [
    cancels("by ids", ({ busyId, runningId, pendingId }) => ({ thread_id: busyId, run_ids: [runningId, pendingId] })),
    cancels(
      "stateless",
      (ids) => ({ thread_id: ids.statelessThreadId, run_ids: [ids.statelessId] }),
      "?action=rollback",
    ),
    cancels("all", () => ({ status: "all" })),
    cancels("pending", () => ({ status: "pending" }), "?action=rollback"),
    cancels("running", () => ({ status: "running" })),
    byOwn(
      "own thread, another's runs",
      () => "/runs/cancel",
      ({ runningId, pendingId }, own) => ({
        thread_id: own.threadId,
        run_ids: [runningId, pendingId],
      }),
    ),
  ],
  "GET /runs/:run_id/stream": [
    ...byRunId("/stream"),
    by("cancelled by leaving", ({ statelessId }) => `/runs/${statelessId}/stream?cancel_on_disconnect=true`),
  ],
  "GET /runs/:run_id/explain": byRunId("/explain"),
  "GET /threads/:thread_id/runs/:run_id/explain": ofRun("/explain"),
  "GET /threads/:thread_id/runs": [
    by("at rest", ({ threadId }) => `/threads/${threadId}/runs`),
    by("by status", ({ busyId }) => `/threads/${busyId}/runs?status=pending&limit=1`),
    by("beyond", ({ busyId }) => `/threads/${busyId}/runs?offset=100&select=run_id`),
  ],
  "GET /threads/:thread_id/runs/:run_id": ofRun(""),
  "DELETE /threads/:thread_id/runs/:run_id": ofRun(""),
  "GET /threads/:thread_id/runs/:run_id/join": [
    ...ofRun("/join"),
    by(
      "cancelled by leaving",
      ({ busyId, runningId }) => `/threads/${busyId}/runs/${runningId}/join?cancel_on_disconnect=1`,
    ),
  ],
  "GET /threads/:thread_id/runs/:run_id/stream": [
    ...ofRun("/stream"),
    by("from the start", ({ threadId, runId }) => `/threads/${threadId}/runs/${runId}/stream?last_event_id=-1`),
    by(
      "cancelled by leaving",
      ({ busyId, runningId }) =>
        `/threads/${busyId}/runs/${runningId}/stream?cancel_on_disconnect=1&stream_mode=values`,
    ),
  ],
  "POST /threads/:thread_id/runs/:run_id/cancel": [
    ...ofRun("/cancel"),
    by("and wait", ({ busyId, runningId }) => `/threads/${busyId}/runs/${runningId}/cancel?wait=1`),
    by("roll back", ({ busyId, pendingId }) => `/threads/${busyId}/runs/${pendingId}/cancel?action=rollback`),
  ],
};
