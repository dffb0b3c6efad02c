import { v7 } from "uuid";
import { makeProtocolThings, missingProtocolIds, type ProtocolIds, protocolReads } from "./protocol-things.js";
import { NEVER_SECONDS, type User } from "./served.js";

/** Whose things others try to get at. */
export const OWNER = "ann";
/** Who has nothing. */
export const NOBODY = "nobodys";
/** Told to nobody but its owner: in values, metadata, names, configuration, events and items. */
const secretOf = ({ name }: Pick<User, "name">): string => `s3cret-of-${name}`;
export const SECRET = secretOf({ name: OWNER });

/** What one user has, by the ids that others may come to know. */
export interface Ids extends ProtocolIds {
  /** Ran, and rests. */
  readonly threadId: string;
  readonly runId: string;
  readonly checkpointId: string;
  readonly interruptedId: string;
  readonly interruptId: string;
  /** With a run that is being executed and one that waits. */
  readonly busyId: string;
  readonly runningId: string;
  readonly pendingId: string;
  /** Of a stateless run that was kept. */
  readonly keptThreadId: string;
  readonly keptRunId: string;
  /** A stateless run that waits. */
  readonly statelessThreadId: string;
  readonly statelessId: string;
  readonly assistantId: string;
  /** Of a cron for `threadId`. */
  readonly cronId: string;
  /** Of the store's items. */
  readonly labels: readonly string[];
  readonly key: string;
}

/** Ids of nothing, as they would be called by a user of these labels and of this tenant. */
export function missingIds(labels: readonly string[], tenant: string): Ids {
  return {
    ...missingProtocolIds(tenant),
    threadId: v7(),
    runId: v7(),
    checkpointId: v7(),
    interruptedId: v7(),
    interruptId: v7().replaceAll("-", ""),
    busyId: v7(),
    runningId: v7(),
    pendingId: v7(),
    keptThreadId: v7(),
    keptRunId: v7(),
    statelessThreadId: v7(),
    statelessId: v7(),
    assistantId: v7(),
    cronId: v7(),
    labels,
    key: "k",
  };
}

interface RunRow {
  readonly run_id: string;
  readonly thread_id: string;
}

/** A little of everything, with a secret in it. */
export async function makeThings(user: User): Promise<Ids> {
  const assistantId = await makeAssistant(user);
  const rested = await makeRested(user, assistantId);
  const interrupted = await makeInterrupted(user);
  const busy = await makeBusy(user);
  const stateless = { input: greeting(user), metadata: { topic: secretOf(user) }, on_completion: "keep" };
  const kept = await user.json<RunRow>("POST", "/runs", { assistant_id: assistantId, ...stateless });
  await user.json("GET", `/threads/${kept.thread_id}/runs/${kept.run_id}/join`);
  const later = { assistant_id: "stuck", input: { text: secretOf(user) }, after_seconds: NEVER_SECONDS };
  const waiting = await user.json<RunRow>("POST", "/runs", later);
  const key = "k";
  for (const place of [[...user.labels], [...user.labels, "notes"]]) {
    // One lives for ever, one long enough.
    const ttl = place.length > user.labels.length ? NEVER_SECONDS : null;
    await user.json("PUT", "/store/items", { namespace: place, key, value: { text: secretOf(user) }, ttl });
  }
  const { threadId } = rested;
  return {
    ...(await makeProtocolThings(user, { threadId, key, secret: secretOf(user) })),
    ...rested,
    ...interrupted,
    ...busy,
    keptThreadId: kept.thread_id,
    keptRunId: kept.run_id,
    statelessThreadId: waiting.thread_id,
    statelessId: waiting.run_id,
    assistantId,
    cronId: await makeCrons(user, threadId),
    labels: user.labels,
    key,
  };
}

/** Enough of one's own to ask about with the ids of others. */
export async function makeOwn(user: User): Promise<Ids> {
  const assistantId = await makeAssistant(user);
  return {
    ...missingIds(user.labels, user.tenant),
    ...(await makeRested(user, assistantId)),
    ...(await makeInterrupted(user)),
    assistantId,
    labels: user.labels,
  };
}

/** Comes while no test runs. */
export const YEARLY = "0 0 1 1 *";

/** One for a thread, and one whose runs have threads of their own. */
async function makeCrons(user: User, threadId: string): Promise<string> {
  const cron = {
    assistant_id: "echo",
    schedule: YEARLY,
    input: greeting(user),
    metadata: { topic: secretOf(user) },
    context: { hint: secretOf(user) },
  };
  await user.json("POST", "/runs/crons", cron);
  const made = await user.json<{ cron_id: string }>("POST", `/threads/${threadId}/runs/crons`, cron);
  return made.cron_id;
}

const greeting = (user: User) => ({ messages: [{ role: "user", content: secretOf(user), id: "m1" }] });

async function makeAssistant(user: User): Promise<string> {
  const secret = secretOf(user);
  const made = {
    graph_id: "echo",
    name: secret,
    description: secret,
    metadata: { topic: secret },
    config: { configurable: { hint: secret } },
  };
  const { assistant_id: assistantId } = await user.json<{ assistant_id: string }>("POST", "/assistants", made);
  await user.json("PATCH", `/assistants/${assistantId}`, { name: `${secret} 2` });
  return assistantId;
}

async function makeRested(user: User, assistantId: string) {
  const threadId = v7();
  await user.json("POST", "/threads", { thread_id: threadId, metadata: { topic: secretOf(user) } });
  const body = { assistant_id: assistantId, input: greeting(user), metadata: { topic: secretOf(user) } };
  const { run_id: runId } = await user.json<RunRow>("POST", `/threads/${threadId}/runs`, body);
  await user.json("GET", `/threads/${threadId}/runs/${runId}/join`);
  const { checkpoint } = await user.json<{ checkpoint: { checkpoint_id: string } }>(
    "GET",
    `/threads/${threadId}/state`,
  );
  return { threadId, runId, checkpointId: checkpoint.checkpoint_id };
}

async function makeInterrupted(user: User) {
  const interruptedId = v7();
  await user.json("POST", "/threads", { thread_id: interruptedId, metadata: { topic: secretOf(user) } });
  await user.json("POST", `/threads/${interruptedId}/runs/wait`, {
    assistant_id: "ask",
    input: { question: secretOf(user) },
  });
  const { interrupts } = await user.json<{ interrupts: Record<string, { id: string }[]> }>(
    "GET",
    `/threads/${interruptedId}`,
  );
  const interruptId = Object.values(interrupts)[0]?.[0]?.id;
  if (interruptId === undefined) throw new Error("the thread is not interrupted");
  return { interruptedId, interruptId };
}

async function makeBusy(user: User) {
  const busyId = v7();
  await user.json("POST", "/threads", { thread_id: busyId, metadata: { topic: secretOf(user) } });
  const body = { assistant_id: "stuck", input: { text: secretOf(user) } };
  const running = await user.json<RunRow>("POST", `/threads/${busyId}/runs`, body);
  const pending = await user.json<RunRow>("POST", `/threads/${busyId}/runs`, body);
  await settled(user, busyId, running.run_id);
  return { busyId, runningId: running.run_id, pendingId: pending.run_id };
}

/** Its first checkpoint is the last change of a run that waits. */
async function settled(user: User, threadId: string, runId: string): Promise<void> {
  for (let tries = 0; tries < 1_000; tries += 1) {
    const { status } = await user.json<{ status: string }>("GET", `/threads/${threadId}/runs/${runId}`);
    const { next } = await user.json<{ next: string[] }>("GET", `/threads/${threadId}/state`);
    if (status === "running" && next.length > 0) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error("the run has not come to a rest");
}

/** Everything that a user can read of their own, byte by byte. */
export async function viewOf(user: User, ids: Ids): Promise<readonly string[]> {
  const { threadId, interruptedId, busyId, keptThreadId, statelessThreadId, assistantId, cronId, labels, key } = ids;
  const threads = [threadId, interruptedId, busyId, keptThreadId, statelessThreadId];
  const reads: (readonly [string, string, unknown?])[] = [
    ["POST", "/threads/search", { limit: 1000 }],
    ["POST", "/threads/count", {}],
    ["POST", "/assistants/search", { limit: 1000 }],
    ["POST", "/assistants/count", {}],
    ["GET", `/assistants/${assistantId}`],
    ["POST", "/runs/crons/search", { limit: 1000 }],
    ["POST", "/runs/crons/count", {}],
    ["GET", `/runs/crons/${cronId}`],
    ["POST", `/assistants/${assistantId}/versions`, {}],
    ["POST", "/store/items/search", { namespace_prefix: labels, limit: 1000 }],
    ["POST", "/store/namespaces", { prefix: labels, limit: 1000 }],
    ["GET", `/store/items?namespace=${labels.join(".")}&key=${key}`],
    ...threads.flatMap((id): [string, string, unknown?][] => [
      ["GET", `/threads/${id}`],
      ["GET", `/threads/${id}/state?subgraphs=true`],
      ["POST", `/threads/${id}/history`, { limit: 100 }],
      ["GET", `/threads/${id}/runs?limit=100`],
      ["POST", `/threads/${id}/commands`, { id: 1, method: "state.listCheckpoints", params: {} }],
    ]),
  ];
  const seen: string[] = [];
  for (const [method, path, body] of reads) {
    const { status, headers, text } = await user.ask(method, { path, body });
    const pages = headers.filter(([name]) => name.startsWith("x-pagination")).map((header) => header.join(": "));
    seen.push(`${method} ${path} ${status} ${pages.join()} ${text}`);
  }
  for (const probe of protocolReads(ids)) {
    const { status, text } = await user.ask(probe.body === undefined ? "GET" : "POST", probe);
    seen.push(`${probe.path} ${status} ${text}`);
  }
  return seen;
}
