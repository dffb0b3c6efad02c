import fc from "fast-check";
import { v7 } from "uuid";
import { expect } from "vitest";
import type { Model } from "./model.js";
import type { User } from "./served.js";

/** One step of one user; `pick` chooses among ids, `fresh` a new one. */
export interface Step {
  readonly user: 0 | 1;
  readonly kind: StepKind;
  readonly pick: number;
  readonly fresh: boolean;
  readonly flag: boolean;
}

interface At {
  readonly model: Model;
  readonly user: User;
  readonly other: User;
  readonly step: Step;
  /** Of the thread or assistant that is meant. */
  readonly threadId: string;
  readonly assistantId: string;
}

type Run = (at: At) => Promise<void>;

const COUNTER = { assistant_id: "counter", input: { n: 0 } };
const json = (text: string): Record<string, unknown> => JSON.parse(text) as Record<string, unknown>;

const expectStatus = async (at: At, method: string, path: string, body: unknown, wanted: number): Promise<string> => {
  const { status, text } = await at.user.ask(method, { path, body });
  expect({ step: at.step, method, path, status, text }).toEqual({ step: at.step, method, path, status: wanted, text });
  return text;
};

function expectSame({ step }: At, got: unknown, wanted: unknown): void {
  expect({ step, got }).toEqual({ step, got: wanted });
}

const ran = { n: 3 } as const;

/** What each step does, and what must come of it. */
const STEPS = {
  async createThread(at) {
    const { model, user, threadId, step } = at;
    const there = model.threadOf(user, threadId);
    const ifExists = step.flag ? "do_nothing" : "raise";
    const isMade = there === "missing";
    const wanted = isMade || (there !== "hidden" && step.flag) ? 200 : 409;
    await expectStatus(at, "POST", "/threads", { thread_id: threadId, if_exists: ifExists }, wanted);
    if (isMade) model.addThread(user, threadId);
  },
  async readThread(at) {
    const there = at.model.threadOf(at.user, at.threadId);
    const text = await expectStatus(
      at,
      "GET",
      `/threads/${at.threadId}`,
      undefined,
      typeof there === "string" ? 404 : 200,
    );
    if (typeof there === "string") return;
    expectSame(at, (json(text)["metadata"] as Record<string, unknown>)["topic"] ?? "", there.topic);
  },
  async patchThread(at) {
    const there = at.model.threadOf(at.user, at.threadId);
    const topic = `${at.user.name} ${at.step.pick}`;
    const patch = { metadata: { topic, ...(at.step.flag && { owner: at.other.name }) } };
    await expectStatus(at, "PATCH", `/threads/${at.threadId}`, patch, typeof there === "string" ? 404 : 200);
    if (typeof there !== "string") there.topic = topic;
  },
  async deleteThread(at) {
    const isOwn = typeof at.model.threadOf(at.user, at.threadId) !== "string";
    await expectStatus(at, "DELETE", `/threads/${at.threadId}`, undefined, isOwn ? 200 : 404);
    if (isOwn) at.model.threads.delete(at.threadId);
  },
  async copyThread(at) {
    const { model, user, threadId } = at;
    const there = model.threadOf(user, threadId);
    const text = await expectStatus(
      at,
      "POST",
      `/threads/${threadId}/copy`,
      undefined,
      typeof there === "string" ? 409 : 200,
    );
    if (typeof there === "string") return;
    model.addThread(user, String(json(text)["thread_id"]), { topic: there.topic, n: there.n });
  },
  async run(at) {
    const { model, user, threadId, step } = at;
    const there = model.threadOf(user, threadId);
    const isRefused = there === "hidden" || (there === "missing" && !step.flag);
    const body = { ...COUNTER, if_not_exists: step.flag ? "create" : "reject" };
    await expectStatus(at, "POST", `/threads/${threadId}/runs/wait`, body, isRefused ? 404 : 200);
    if (there === "missing" && step.flag) model.addThread(user, threadId, { ...ran, runs: 1 });
    if (typeof there !== "string") Object.assign(there, { ...ran, runs: there.runs + 1 });
  },
  async runStateless(at) {
    const { model, user } = at;
    const made = json(await expectStatus(at, "POST", "/runs", { ...COUNTER, on_completion: "keep" }, 200));
    const threadId = String(made["thread_id"]);
    await user.ask("GET", { path: `/threads/${threadId}/runs/${String(made["run_id"])}/join` });
    model.addThread(user, threadId, { ...ran, runs: 1 });
  },
  async runAssistant(at) {
    const { model, user, assistantId } = at;
    const isOwn = typeof model.assistantOf(user, assistantId) !== "string";
    const body = { ...COUNTER, assistant_id: assistantId };
    await expectStatus(at, "POST", "/runs/wait", body, isOwn ? 200 : 404);
  },
  async readState(at) {
    const there = at.model.threadOf(at.user, at.threadId);
    const text = await expectStatus(
      at,
      "GET",
      `/threads/${at.threadId}/state`,
      undefined,
      typeof there === "string" ? 404 : 200,
    );
    if (typeof there === "string") return;
    expectSame(at, (json(text)["values"] as Record<string, unknown>)["n"] ?? null, there.n);
  },
  async updateState(at) {
    const there = at.model.threadOf(at.user, at.threadId);
    const wanted = typeof there === "string" ? 404 : there.n === null ? 400 : 200;
    const n = at.step.pick + 10;
    await expectStatus(at, "POST", `/threads/${at.threadId}/state`, { values: { n } }, wanted);
    if (wanted === 200 && typeof there !== "string") there.n = n;
  },
  async listRuns(at) {
    const there = at.model.threadOf(at.user, at.threadId);
    const path = `/threads/${at.threadId}/runs?limit=1000`;
    const text = await expectStatus(at, "GET", path, undefined, typeof there === "string" ? 404 : 200);
    if (typeof there !== "string") expectSame(at, json(text)["length"], there.runs);
  },
  async cancelAll(at) {
    await expectStatus(at, "POST", "/runs/cancel", { status: "all" }, 404);
  },
  async listThreads(at) {
    await expectLists(at);
  },
  async createAssistant(at) {
    const { model, user, assistantId, step } = at;
    const there = model.assistantOf(user, assistantId);
    const wanted = there === "missing" || (there !== "hidden" && step.flag) ? 200 : 409;
    const body = { assistant_id: assistantId, graph_id: "counter", if_exists: step.flag ? "do_nothing" : "raise" };
    await expectStatus(at, "POST", "/assistants", { ...body, metadata: { made: true } }, wanted);
    if (there !== "missing") return;
    model.assistants.set(assistantId, { owner: user.name, versions: 1 });
    if (!model.assistantIds.includes(assistantId)) model.assistantIds.push(assistantId);
  },
  async patchAssistant(at) {
    const there = at.model.assistantOf(at.user, at.assistantId);
    const body = { name: `n${at.step.pick}` };
    await expectStatus(at, "PATCH", `/assistants/${at.assistantId}`, body, typeof there === "string" ? 404 : 200);
    if (typeof there !== "string") there.versions += 1;
  },
  async versions(at) {
    const there = at.model.assistantOf(at.user, at.assistantId);
    const path = `/assistants/${at.assistantId}/versions`;
    const text = await expectStatus(at, "POST", path, { limit: 1000 }, typeof there === "string" ? 404 : 200);
    if (typeof there !== "string") expectSame(at, json(text)["length"], there.versions);
  },
  async deleteAssistant(at) {
    const isOwn = typeof at.model.assistantOf(at.user, at.assistantId) !== "string";
    await expectStatus(at, "DELETE", `/assistants/${at.assistantId}`, undefined, isOwn ? 200 : 404);
    if (isOwn) at.model.assistants.delete(at.assistantId);
  },
  async putItem(at) {
    const { model, user, other, step } = at;
    const key = `k${step.pick % 3}`;
    const text = `${user.name} ${step.pick}`;
    const namespace = (step.flag ? other : user).labels;
    await expectStatus(at, "PUT", "/store/items", { namespace, key, value: { text } }, step.flag ? 403 : 204);
    if (!step.flag) model.items.set(`${user.name}/${key}`, text);
  },
  async deleteItem(at) {
    const { model, user, other, step } = at;
    const key = `k${step.pick % 3}`;
    const namespace = (step.flag ? other : user).labels;
    await expectStatus(at, "DELETE", "/store/items", { namespace, key }, step.flag ? 403 : 204);
    if (!step.flag) model.items.delete(`${user.name}/${key}`);
  },
} as const satisfies Record<string, Run>;

type StepKind = keyof typeof STEPS;

const KINDS = Object.keys(STEPS) as StepKind[];

export const steps = (bounds: { readonly minLength: number; readonly maxLength: number }): fc.Arbitrary<Step[]> =>
  fc.array(
    fc.record({
      user: fc.constantFrom(0 as const, 1 as const),
      kind: fc.constantFrom(...KINDS),
      pick: fc.nat(30),
      fresh: fc.boolean(),
      flag: fc.boolean(),
    }),
    { ...bounds, size: "max" },
  );

export async function take(model: Model, users: readonly [User, User], step: Step): Promise<void> {
  const user = users[step.user];
  const other = users[step.user === 0 ? 1 : 0];
  const idOf = (known: readonly string[]): string => (step.fresh ? v7() : (known[step.pick % known.length] ?? v7()));
  const ids = { threadId: idOf(model.threadIds), assistantId: idOf(model.assistantIds) };
  await STEPS[step.kind]({ model, user, other, step, ...ids });
}

/** What a user finds is what is theirs, and all of it, by every way of looking. */
export async function expectLists({ model, user }: { readonly model: Model; readonly user: User }): Promise<void> {
  const all = { limit: 1000 };
  const found = async (path: string, id: string, body: object) => {
    const { headers, text } = await user.ask("POST", { path, body: { ...all, ...body } });
    const rows = JSON.parse(text) as Record<string, string>[];
    const total = headers.find(([name]) => name === "x-pagination-total")?.[1];
    return { ids: rows.map((row) => String(row[id])).toSorted(), total };
  };
  const own = (ids: readonly string[]) => ({ ids, total: String(ids.length) });
  expect(await found("/threads/search", "thread_id", {})).toEqual(own(model.threadsOf(user)));
  const known = model.threadsOf(user).filter((id) => model.threadIds.includes(id));
  expect(await found("/threads/search", "thread_id", { ids: model.threadIds })).toEqual(own(known));
  const made = { metadata: { made: true } };
  expect(await found("/assistants/search", "assistant_id", made)).toEqual(own(model.assistantsOf(user)));
  expect(await user.json("POST", "/threads/count", {})).toBe(model.threadsOf(user).length);
  expect(await user.json("POST", "/assistants/count", made)).toBe(model.assistantsOf(user).length);
  const { items } = await user.json<{ items: { value: { text: string } }[] }>("POST", "/store/items/search", {
    namespace_prefix: user.labels,
    ...all,
  });
  expect(items.map(({ value }) => value.text).toSorted()).toEqual(model.itemsOf(user));
}
