import { randomBytes } from "node:crypto";
import { v7 } from "uuid";
import type { Probe, User } from "./served.js";

/** What one user has by the protocols beside the LangGraph API. */
export interface ProtocolIds {
  /** State Store: with a value of {@link Ids.key}. */
  readonly stateWorkflow: string;
  /** Agentex: of {@link Ids.threadId}. */
  readonly stateId: string;
  readonly agentId: string;
  /** Agentex: no thread's; with a state, a checkpoint and writes. */
  readonly taskId: string;
  readonly taskCheckpointId: string;
  /** Agentex: name of a task, which is a thread. */
  readonly taskName: string;
  readonly namedTaskId: string;
  /** SnapState: with a checkpoint of step 1. */
  readonly snapWorkflow: string;
  readonly snapAgent: string;
  readonly snapWebhook: string;
  /** OpenWOP: a part of the ids of the second major. */
  readonly tenant: string;
  /** OpenWOP: has ended. */
  readonly wopEnded: string;
  /** OpenWOP: waits for an answer to an interrupt. */
  readonly wopWaiting: string;
  readonly wopInterruptId: string;
  readonly wopToken: string;
  /** OpenWOP: is executed, and holds a scope. */
  readonly wopRunning: string;
  readonly wopScope: string;
  readonly wopWebhook: string;
  /** Of the request that created `wopEnded`. */
  readonly wopKey: string;
}

/** Subscribed to what never happens: nobody is called. */
export const HOOK = "https://hooks.example.com/told";
export const HOOK_SECRET = "a secret of whoever asks";

/** Ids of nothing. */
export const missingProtocolIds = (tenant: string): ProtocolIds => ({
  stateWorkflow: v7(),
  stateId: v7(),
  agentId: v7(),
  taskId: v7(),
  taskCheckpointId: v7(),
  taskName: v7(),
  namedTaskId: v7(),
  snapWorkflow: v7(),
  snapAgent: v7(),
  snapWebhook: `wh_${randomBytes(12).toString("hex")}`,
  tenant,
  wopEnded: v7(),
  wopWaiting: v7(),
  wopInterruptId: v7(),
  wopToken: `${randomBytes(60).toString("base64url")}.${randomBytes(32).toString("base64url")}`,
  wopRunning: v7(),
  wopScope: v7(),
  wopWebhook: `wh_${randomBytes(16).toString("hex")}`,
  wopKey: v7(),
});

/** @param secret in all of it */
export async function makeProtocolThings(
  user: User,
  { threadId, key, secret }: { readonly threadId: string; readonly key: string; readonly secret: string },
): Promise<ProtocolIds> {
  const ids = missingProtocolIds(user.tenant);
  await user.json("POST", `/state-store/v1/state/${ids.stateWorkflow}/${key}`, { value: { text: secret } });
  return {
    ...ids,
    ...(await makeAgentex(user, ids, { threadId, secret })),
    ...(await makeSnapstate(user, ids, secret)),
    ...(await makeOpenwop(user, ids, secret)),
  };
}

async function makeAgentex(
  user: User,
  { agentId, taskId, taskCheckpointId, taskName, namedTaskId }: ProtocolIds,
  { threadId, secret }: { readonly threadId: string; readonly secret: string },
) {
  const state = { agent_id: agentId, state: { text: secret } };
  const made = await user.json<{ id: string }>("POST", "/agentex/states", { task_id: threadId, ...state });
  await user.json("POST", "/agentex/states", { task_id: taskId, ...state });
  const checkpoint = { v: 4, id: taskCheckpointId, channel_versions: { text: "1" }, channel_values: {} };
  const blob = Buffer.from(secret).toString("base64");
  for (const id of [threadId, taskId]) {
    const at = { thread_id: id, checkpoint_ns: "", checkpoint_id: taskCheckpointId };
    const blobs = [{ channel: "text", version: "1", type: "msgpack", blob }];
    await user.json("POST", "/agentex/checkpoints/put", { ...at, checkpoint, metadata: { topic: secret }, blobs });
    const writes = [{ task_id: "one", idx: 0, channel: "text", type: "msgpack", blob }];
    await user.json("POST", "/agentex/checkpoints/put-writes", { ...at, writes });
  }
  await user.json("POST", "/threads", { thread_id: namedTaskId, metadata: { name: taskName, topic: secret } });
  return { stateId: made.id };
}

async function makeSnapstate(user: User, { snapWorkflow, snapAgent }: ProtocolIds, secret: string) {
  await user.json("POST", "/snapstate/agents", { agent_id: snapAgent, name: secret, metadata: { topic: secret } });
  const saved = { workflow_id: snapWorkflow, step: 1, state: { text: secret }, label: secret, agent_id: snapAgent };
  await user.json("POST", "/snapstate/checkpoints", saved);
  const hook = { url: HOOK, events: ["workflow.expired"], secret };
  const { webhook_id: snapWebhook } = await user.json<{ webhook_id: string }>("POST", "/snapstate/webhooks", hook);
  return { snapWebhook };
}

/** What a walk asks for again with the key of this. */
export const KEYED_RUN = { workflowId: "echo", inputs: { messages: [] }, tags: ["walk"] };

async function makeOpenwop(user: User, { wopKey, wopScope }: ProtocolIds, secret: string) {
  const start = async (body: object, headers: Readonly<Record<string, string>> = {}): Promise<string> => {
    const { status, text } = await user.ask("POST", { path: "/openwop/v1/runs", body, headers });
    if (status !== 201) throw new Error(`${user.name}: a run is refused: ${status} ${text}`);
    return (JSON.parse(text) as { runId: string }).runId;
  };
  const metadata = { topic: secret };
  const wopEnded = await start(KEYED_RUN, { "idempotency-key": wopKey });
  const wopWaiting = await start({ workflowId: "ask", inputs: { question: secret }, metadata });
  const stuck = { workflowId: "stuck", inputs: { text: secret }, metadata, scopeId: wopScope };
  const wopRunning = await start(stuck, { "x-dedup": "enforce" });
  await reaches(user, wopEnded, ({ status }) => status === "completed");
  const { interrupt } = await reaches(user, wopWaiting, ({ status }) => status.startsWith("waiting-"));
  await reaches(
    user,
    wopRunning,
    ({ status, nodeStates }) => status === "running" && nodeStates?.["wait"]?.status === "running",
  );
  const hook = { url: HOOK, events: ["nothing.happened"], secret: `${secret} for messages` };
  const { subscriptionId } = await user.json<{ subscriptionId: string }>("POST", "/openwop/v1/webhooks", hook);
  const { interruptId: wopInterruptId = "", interruptToken: wopToken = "" } = interrupt ?? {};
  return { wopEnded, wopWaiting, wopInterruptId, wopToken, wopRunning, wopWebhook: subscriptionId };
}

interface Snapshot {
  readonly status: string;
  readonly nodeStates?: Readonly<Record<string, { readonly status: string }>>;
  readonly interrupt?: { readonly interruptId: string; readonly interruptToken: string };
}

async function reaches(user: User, runId: string, isThere: (seen: Snapshot) => boolean): Promise<Snapshot> {
  let seen: Snapshot | null = null;
  for (let tries = 0; tries < 1_000; tries += 1) {
    seen = await user.json<Snapshot>("GET", `/openwop/v1/runs/${runId}`);
    if (isThere(seen)) return seen;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`the run does not come to a rest: ${JSON.stringify(seen)}`);
}

/** What a user reads by the protocols. Links of interrupts have a new time in each answer, and are left out. */
export function protocolReads(
  ids: ProtocolIds & { readonly threadId: string; readonly key: string },
): readonly Probe[] {
  const { threadId, key, stateWorkflow, taskId, taskCheckpointId, snapWorkflow, snapAgent } = ids;
  const tuples = [threadId, taskId].map((id) => ({ thread_id: id, checkpoint_id: taskCheckpointId }));
  const json = { accept: "application/json" };
  return [
    { path: `/state-store/v1/state/${stateWorkflow}` },
    { path: `/state-store/v1/state/${stateWorkflow}/${key}` },
    { path: "/agentex/states?limit=1000" },
    { path: `/agentex/states/${ids.stateId}` },
    ...tuples.map((body) => ({ path: "/agentex/checkpoints/get-tuple", body })),
    ...tuples.map(({ thread_id }) => ({ path: "/agentex/checkpoints/list", body: { thread_id } })),
    { path: "/agentex/tasks?limit=1000&relationships=agents" },
    { path: `/agentex/tasks/name/${ids.taskName}` },
    { path: `/snapstate/checkpoints/cp_${snapWorkflow}_001` },
    { path: `/snapstate/workflows/${snapWorkflow}/resume` },
    { path: `/snapstate/workflows/${snapWorkflow}/replay` },
    { path: "/snapstate/agents" },
    { path: `/snapstate/agents/${snapAgent}` },
    { path: `/openwop/v1/runs/${ids.wopEnded}` },
    { path: `/openwop/v1/runs/${ids.wopRunning}` },
    ...[ids.wopEnded, ids.wopWaiting, ids.wopRunning].map((id) => ({
      path: `/openwop/v1/runs/${id}/events`,
      headers: json,
    })),
  ];
}
