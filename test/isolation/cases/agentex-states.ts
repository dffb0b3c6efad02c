import { type Ids, SECRET } from "../things.js";
import { by, type Cases, type Difference, type Variant } from "./variant.js";

const P = "/agentex";
const state = ({ stateId }: Ids) => `${P}/states/${stateId}`;
const alone = (variant: Variant): Variant => ({ ...variant, isAlone: true });

/** An id that is nobody's thread is everybody's own; one that is a thread is told to be there, as `POST /threads` tells. */
const taken = (missing: number): Difference => ({ section: "agentex-states.md, task ↔ thread", hidden: 404, missing });

type Body = (at: { readonly thread_id: string; readonly checkpoint_id: string }) => unknown;

/** Of a thread, and of a task that is none. */
const ofThread = (name: string, path: string, body: Body): Variant =>
  by(
    `${name} of a thread`,
    () => path,
    ({ threadId, taskCheckpointId }) => body({ thread_id: threadId, checkpoint_id: taskCheckpointId }),
  );
const ofTask = (name: string, path: string, body: Body): Variant =>
  alone(
    by(
      `${name} of a task`,
      () => path,
      ({ taskId, taskCheckpointId }) => body({ thread_id: taskId, checkpoint_id: taskCheckpointId }),
    ),
  );
const read = (name: string, path: string, body: Body) =>
  [ofThread(name, path, body), ofTask(name, path, body)] as const;
const written = (missing: number, path: string, body: Body) =>
  [
    { ...ofThread("put", path, body), isAlone: true, differs: taken(missing) },
    ofTask("put", path, body),
  ] as const satisfies readonly Variant[];

const get = (name: string, path: string | ((ids: Ids) => string)): Variant =>
  by(name, (ids) => P + (typeof path === "string" ? path : path(ids)));
const found = (name: string, path: string): Variant => ({ ...get(name, path), lists: true });

/** docs/wire/agentex-states.md. */
export const agentexCases: Cases = {
  [`GET ${P}/healthz`]: [{ ...get("alive", "/healthz"), isPublic: true }],
  [`GET ${P}/readyz`]: [{ ...get("ready", "/readyz"), isPublic: true }],
  [`POST ${P}/states`]: written(200, `${P}/states`, ({ thread_id: id }) => ({ task_id: id, agent_id: "a", state: {} })),
  [`GET ${P}/states`]: [
    found("all", "/states"),
    found("page", "/states?limit=1&page_number=2&order_by=state&order_direction=asc"),
    get("of a thread", ({ threadId }) => `/states?task_id=${threadId}`),
    get("of a task", ({ taskId }) => `/states?task_id=${taskId}`),
    get("of an agent", ({ agentId }) => `/states?agent_id=${agentId}`),
  ],
  [`GET ${P}/states/{state_id}`]: [by("one", state)],
  [`PUT ${P}/states/{state_id}`]: [by("one", state, () => ({ state: { text: "mine" } }))],
  [`DELETE ${P}/states/{state_id}`]: [by("one", state)],
  [`POST ${P}/checkpoints/get-tuple`]: [
    ...read("one", `${P}/checkpoints/get-tuple`, (at) => at),
    ...read("the newest", `${P}/checkpoints/get-tuple`, ({ thread_id }) => ({ thread_id })),
  ],
  [`POST ${P}/checkpoints/put`]: written(200, `${P}/checkpoints/put`, (at) => ({
    ...at,
    checkpoint: { channel_versions: { text: "1" } },
    // Whoever has put it first is not told by it.
    blobs: [{ channel: "text", version: "1", type: "msgpack", blob: "bWluZQ==" }],
  })),
  [`POST ${P}/checkpoints/put-writes`]: written(204, `${P}/checkpoints/put-writes`, (at) => ({
    ...at,
    writes: [{ task_id: "one", idx: 0, channel: "text", type: "msgpack", blob: "bWluZQ==" }],
  })),
  [`POST ${P}/checkpoints/list`]: [
    ...read("all", `${P}/checkpoints/list`, ({ thread_id }) => ({ thread_id, limit: 1000 })),
    ...read("by metadata", `${P}/checkpoints/list`, ({ thread_id }) => ({
      thread_id,
      filter_metadata: { topic: SECRET },
    })),
    ...read("before one", `${P}/checkpoints/list`, ({ thread_id, checkpoint_id: id }) => ({
      thread_id,
      before_checkpoint_id: `${id}0`,
    })),
  ],
  [`POST ${P}/checkpoints/delete-thread`]: read("all", `${P}/checkpoints/delete-thread`, ({ thread_id }) => ({
    thread_id,
  })),
  [`GET ${P}/tasks`]: [
    found("all", "/tasks?relationships=agents"),
    found("page", "/tasks?limit=1&page_number=2&order_by=created_at&order_direction=asc"),
    found("by metadata", `/tasks?task_metadata=${encodeURIComponent(JSON.stringify({ topic: SECRET }))}`),
    found("by status", "/tasks?status=INTERRUPTED"),
    get("by agent", ({ assistantId }) => `/tasks?agent_id=${assistantId}`),
  ],
  [`GET ${P}/tasks/{task_id}`]: [
    get("at rest", ({ threadId }) => `/tasks/${threadId}`),
    get("busy, with agents", ({ busyId }) => `/tasks/${busyId}?relationships=agents`),
  ],
  [`GET ${P}/tasks/name/{task_name}`]: [get("one", ({ taskName }) => `/tasks/name/${taskName}`)],
  [`DELETE ${P}/tasks/{task_id}`]: [
    get("at rest", ({ threadId }) => `/tasks/${threadId}`),
    get("busy", ({ busyId }) => `/tasks/${busyId}`),
  ],
  [`DELETE ${P}/tasks/name/{task_name}`]: [get("one", ({ taskName }) => `/tasks/name/${taskName}`)],
};
