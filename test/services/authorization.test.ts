import { expect, it } from "vitest";
import type { AccessFilter, AuthAction, AuthResource, Authorizer, Caller } from "../../src/core/auth.js";
import { ANONYMOUS, SERVER } from "../../src/core/auth.js";
import { HeddleError, isHeddleError } from "../../src/core/errors.js";
import type { JsonObject, JsonValue } from "../../src/core/json.js";
import { createAuthorize } from "../../src/services/authorization.js";
import { gate, never, succeed } from "../../src/testing/scripted-engine.js";
import { withFaults } from "../support/faults.js";
import { openRuntime, REQUEST, type RuntimeOptions } from "../runtime/harness.js";
import { type AuthEvent, CASES, type Fixture, INTERNAL } from "./cases.js";
import { PAGE, YEARLY } from "./cron-cases.js";

const user = (identity: string): Caller => ({ identity, permissions: [], user: { identity } });
const ALICE = user("alice");
const BOB = user("bob");

/** Everyone sees only their own rows, and what they create is theirs; assistants of the system are for all. */
function owners(events: AuthEvent[]): Authorizer {
  return {
    authorize(caller, { resource, action, value }) {
      events.push({ caller: caller.identity, event: `${resource}:${action}`, value });
      const owner = caller.identity;
      const access: AccessFilter = { kind: "match", where: whereOf(resource, action, owner) };
      const creates = action === "create" || action === "create_run";
      const metadata = value["metadata"] as JsonObject | undefined;
      return { access, value: creates ? { ...value, metadata: { ...metadata, owner } } : value };
    },
  };
}

function whereOf(resource: AuthResource, action: AuthAction, owner: string | null): JsonObject {
  if (resource === "store") return { namespace: { $contains: owner } };
  if (resource === "assistants" && action === "read") return { $or: [{ owner }, { created_by: "system" }] };
  return { owner };
}

const SCRIPTS = { quick: succeed({ n: 1 }), stuck: never(), door: gate().script };

async function open(options: Partial<RuntimeOptions> = {}): Promise<Fixture> {
  const asked: AuthEvent[] = [];
  const test = await openRuntime({ scripts: SCRIPTS, authorizer: owners(asked), ...options });
  const { services } = test;
  const assistant = await services.assistants.create(ALICE, { graphId: "quick", ifExists: "raise" });
  const { threadId } = await services.threads.create(ALICE, { ifExists: "raise", metadata: { topic: "tea" } });
  const done = await services.runs.create(ALICE, threadId, { ...REQUEST, assistantId: assistant.assistantId });
  await test.until(async () => (await test.row(done))?.status === "success", "the run");
  const running = await services.runs.create(ALICE, null, { ...REQUEST, assistantId: "stuck", onCompletion: "keep" });
  await services.items.put(ALICE, { namespace: ["alice", "notes"], key: "k", value: { text: "secret" } });
  const cron = await services.crons.create(ALICE, null, YEARLY);
  asked.length = 0;
  return { ...test, assistant, threadId, done, running, cron, asked };
}

const outcome = async (call: Promise<unknown>): Promise<{ code: string } | { value: unknown }> => {
  try {
    return { value: await call };
  } catch (error) {
    if (isHeddleError(error)) return { code: error.code };
    throw error;
  }
};

/** All rows as they are, to see what a call has changed. */
async function everything(fixture: Fixture): Promise<string> {
  const all = { kind: "all" } as const;
  const { store } = fixture;
  const page = { limit: 100, offset: 0, sortOrder: "asc" } as const;
  return JSON.stringify([
    await store.assistants.search({ ...page, sortBy: "assistant_id", access: all }),
    await store.threads.search({ ...page, sortBy: "thread_id", withState: true, access: all }),
    await store.crons.search({ ...page, sortBy: "cron_id", access: all }),
    await store.runs.list({ limit: 100, offset: 0, access: all }),
    await fixture.services.items.search(ALICE, { namespacePrefix: [], limit: 100, offset: 0 }),
    fixture.scripted.checkpoints(fixture.threadId),
  ]);
}

it("has a case for every method of every service", async () => {
  const { services } = await open();
  const methods = Object.entries(services).flatMap(([service, object]: [string, object]) =>
    Object.keys(object).map((method) => `${service}.${method}`),
  );
  expect(methods.toSorted()).toEqual([...Object.keys(CASES), ...INTERNAL].toSorted());
});

it.each(Object.entries(CASES))(
  "%s asks for its events and serves the owner",
  async (_name, { call, events, isForOperators }) => {
    const fixture = await open();
    const answer = await outcome(call(fixture.services, ALICE, fixture));
    expect("code" in answer ? answer.code : null).toBe(isForOperators === true ? "FORBIDDEN" : null);
    expect(fixture.asked.map(({ event }) => event)).toEqual(events);
    expect(new Set(fixture.asked.map(({ caller }) => caller))).toEqual(new Set(["alice"]));
  },
);

it.each(Object.entries(CASES))("%s shows and changes nothing of another user", async (_name, { call, hidden }) => {
  const fixture = await open();
  const before = await everything(fixture);
  expect(await outcome(call(fixture.services, BOB, fixture))).toEqual(hidden);
  expect(await everything(fixture)).toBe(before);
});

it.each(Object.entries(CASES))("%s touches nothing when it is refused", async (_name, { call }) => {
  let refuse = false;
  const calls: string[] = [];
  const asked: AuthEvent[] = [];
  const real = owners(asked);
  const fixture = await open({
    authorizer: {
      authorize: (caller, operation) => {
        if (refuse) throw new HeddleError("FORBIDDEN");
        return real.authorize(caller, operation);
      },
    },
    wrapStore: (store) =>
      withFaults(store, (name) => {
        if (refuse) calls.push(name);
        return "none";
      }),
  });
  refuse = true;
  expect(await outcome(call(fixture.services, ALICE, fixture))).toEqual({ code: "FORBIDDEN" });
  expect(calls).toEqual([]);
});

it("lets nobody but the server itself make system assistants", async () => {
  const { services } = await open();
  for (const caller of [ALICE, ANONYMOUS, { ...SERVER }]) {
    const seeding = services.assistants.seedSystemAssistants(caller, {});
    await expect(seeding).rejects.toMatchObject({ code: "FORBIDDEN" });
  }
  await services.assistants.seedSystemAssistants(SERVER, {});
});

it("asks nobody about the server itself, and refuses whoever has no identity", async () => {
  const fixture = await open();
  const { services, threadId, asked } = fixture;
  expect((await services.threads.get(SERVER, threadId)).threadId).toBe(threadId);
  expect(asked).toEqual([]);
  for (const caller of [ANONYMOUS, { ...SERVER }]) {
    for (const [name, { call }] of Object.entries(CASES)) {
      expect([name, await outcome(call(services, caller, fixture))]).toEqual([name, { code: "UNAUTHENTICATED" }]);
    }
  }
  expect(asked).toEqual([]);
});

it("gives what was attached for one caller to no other", async () => {
  const { services, running } = await open();
  const attached = await services.runs.join(ALICE, running, "start");
  await expect(services.runs.result(BOB, attached)).rejects.toMatchObject({ code: "FORBIDDEN" });
  // Nor does reading give the right to cancel.
  for (const caller of [ALICE, BOB]) {
    await expect(services.runs.cancelDisconnected(caller, attached)).rejects.toMatchObject({ code: "FORBIDDEN" });
  }
  attached.cursor?.close();
});

it("keeps what a handler puts into metadata", async () => {
  const fixture = await open();
  const { services } = fixture;
  expect(fixture.assistant.metadata).toEqual({ owner: "alice" });
  const thread = await services.threads.get(ALICE, fixture.threadId);
  expect(thread.metadata).toMatchObject({ owner: "alice", topic: "tea" });
  expect(fixture.running.metadata).toMatchObject({ owner: "alice" });
  // The thread that a stateless run brings along is its owner's as well.
  expect((await services.threads.get(ALICE, fixture.running.threadId)).metadata).toMatchObject({ owner: "alice" });
});

it("gives a thread the time to live that a handler left, and refuses one that is none", async () => {
  let given: JsonValue | undefined;
  const authorizer: Authorizer = {
    authorize: (_, { value }) => ({ access: { kind: "all" }, value: { ...value, ttl: given } }),
  };
  const { services } = await openRuntime({ scripts: SCRIPTS, authorizer });
  given = { strategy: "keep_latest", ttl: 2 };
  const { threadId, ttl } = await services.threads.create(ALICE, {
    ifExists: "raise",
    ttl: { strategy: "delete", ttlMs: 1 },
  });
  expect(ttl).toEqual({ strategy: "keep_latest", ttlMs: 120_000 });
  given = null;
  expect((await services.threads.update(ALICE, threadId, { metadata: {} })).ttl).toBeNull();
  for (given of [{ strategy: "burn", ttl: 2 }, { strategy: "delete", ttl: 0 }, { strategy: "delete" }, 5, "x"]) {
    expect(await outcome(services.threads.update(ALICE, threadId, {}))).toEqual({ code: "INVALID_REQUEST" });
  }
});

it("keeps a caller in the namespace that a handler chose", async () => {
  const confine: Authorizer = {
    authorize: (caller, { resource, value }) => {
      const namespace = value["namespace"] as readonly string[] | undefined;
      const own = resource === "store" ? { namespace: [caller.identity ?? "", ...(namespace ?? [])] } : {};
      return { access: { kind: "all" }, value: { ...value, ...own } };
    },
  };
  const { services } = await openRuntime({ scripts: SCRIPTS, authorizer: confine });
  for (const caller of [ALICE, BOB]) {
    await services.items.put(caller, { namespace: ["notes"], key: "k", value: { of: caller.identity } });
  }
  for (const caller of [ALICE, BOB]) {
    const own = [caller.identity, "notes"];
    expect(await services.items.listNamespaces(caller, { limit: 10, offset: 0 })).toEqual([own]);
    const found = await services.items.search(caller, { namespacePrefix: [], limit: 10, offset: 0 });
    expect(found.map((item) => item.namespace)).toEqual([own]);
    expect((await services.items.get(caller, { namespace: ["notes"], key: "k" }))?.value).toEqual({
      of: caller.identity,
    });
  }
});

it("deletes an assistant with the threads that the caller may delete, and leaves the others", async () => {
  const asked: AuthEvent[] = [];
  const real = owners(asked);
  const fixture = await open({
    authorizer: {
      async authorize(caller, operation) {
        const grant = await real.authorize(caller, operation);
        if (operation.resource !== "threads" || operation.action !== "delete") return grant;
        return { ...grant, access: { kind: "match", where: { owner: "alice", topic: "tea" } } };
      },
    },
  });
  const { services, assistant } = fixture;
  const kept: string[] = [];
  for (let i = 0; i < 120; i += 1) {
    const topic = i % 2 === 0 ? "tea" : "coffee";
    const thread = await services.threads.create(ALICE, {
      ifExists: "raise",
      metadata: { topic, assistant_id: assistant.assistantId },
    });
    if (topic === "coffee") kept.push(thread.threadId);
  }
  await services.assistants.delete(ALICE, assistant.assistantId, { deleteThreads: true });
  const page = await services.threads.search(ALICE, {
    ...PAGE,
    limit: 1000,
    metadata: { assistant_id: assistant.assistantId },
    sortBy: "created_at",
    withState: false,
  });
  expect(page.rows.map((thread) => thread.threadId).toSorted()).toEqual(kept.toSorted());
});

it("allows everything without an authorizer, and passes the value on by reference", async () => {
  const authorize = createAuthorize(null);
  const value = { thread_id: "t", metadata: { a: 1 } };
  const grant = await authorize(ANONYMOUS, "threads", "read", value);
  expect(grant.access).toEqual({ kind: "all" });
  expect(grant.value).toBe(value);
});

it("tells graphs who called, and nothing without authentication", async () => {
  const fixture = await open();
  const [own] = await fixture.services.runs.list(ALICE, fixture.threadId, { limit: 1, offset: 0 });
  expect(own?.kwargs.config["configurable"]).toEqual({
    langgraph_auth_user: { identity: "alice" },
    langgraph_auth_user_id: "alice",
    langgraph_auth_permissions: [],
  });
  const open2 = await openRuntime({ scripts: SCRIPTS });
  const run = await open2.run("quick");
  expect(run.kwargs.config).toEqual({});
});
