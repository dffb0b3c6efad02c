import { afterEach, describe, expect, it } from "vitest";
import { ALL_ROWS, ANONYMOUS, type Authorizer, type Caller } from "../../src/core/auth.js";
import type { CronStore } from "../../src/core/cron.js";
import { HeddleError } from "../../src/core/errors.js";
import type { Run } from "../../src/core/run.js";
import type { CronScheduler } from "../../src/runtime/cron-scheduler.js";
import { createCronFiring } from "../../src/services/cron-firing.js";
import type { TickPolicy } from "../../src/services/cron-ticks.js";
import { never, type Script, succeed } from "../../src/testing/scripted-engine.js";
import { decodeCronCreate, decodeCronPatch } from "../../src/wire/crons.js";
import { createCron, EACH_MINUTE, MINUTE_MS, pass as passSlowly, schedulersOfTests } from "./crons.js";
import { openRuntime, type RuntimeOptions, type TestRuntime } from "./harness.js";

const POLICY: TickPolicy = { missed: "skip", maxMissed: 100, missedAfterMs: 60_000 };

const quick: Script = succeed({ n: 1 });

const start = schedulersOfTests();

function startScheduler(
  test: TestRuntime,
  options: { readonly policy?: TickPolicy; readonly crons?: CronStore } = {},
): CronScheduler {
  const store = { ...test.store, crons: options.crons ?? test.store.crons };
  const log: unknown[] = [];
  const told = (fields: object, message: string) => void log.push({ ...fields, message });
  const logger = { debug: told, info: told, warn: told, error: told };
  return start({
    crons: store.crons,
    fire: createCronFiring({ store, runs: test.services.runs, logger }, options.policy ?? POLICY),
    clock: test.clock,
    logger,
  });
}

/** A server with a cron's graphs, whose clock stands at `time`. */
async function openAt(time: string, options: Partial<RuntimeOptions> = {}): Promise<TestRuntime> {
  const test = await openRuntime({ scripts: { quick, stuck: never() }, start: false, ...options });
  test.clock.advance(Date.parse(time) - test.clock.now());
  return test;
}

const pass = (test: TestRuntime, ms: number, stepMs = 20_000): Promise<void> =>
  passSlowly(test, ms, { stepMs, turnsPerStep: 4 });

async function runsOf(test: TestRuntime, cronId?: string): Promise<readonly Run[]> {
  const runs = await test.store.runs.list({ limit: 1_000, offset: 0, access: ALL_ROWS });
  return runs
    .filter(({ metadata }) => cronId === undefined || metadata["cron_id"] === cronId)
    .toSorted((a, b) => a.createdAt - b.createdAt);
}

/** When they were made, to the minute. */
const minutes = (runs: readonly Run[]) => runs.map(({ createdAt }) => new Date(createdAt).toISOString().slice(0, 16));

describe("a cron's runs", () => {
  it("come with each tick, carry its metadata and id, and have threads of their own", async () => {
    const test = await openAt("2026-06-01T09:58:30Z");
    startScheduler(test);
    const cron = await createCron(test, { schedule: "*/2 10 * * *", metadata: { team: "a" } });
    expect(new Date(cron.nextRunAt ?? 0).toISOString()).toBe("2026-06-01T10:00:00.000Z");
    await pass(test, 5 * MINUTE_MS);
    const runs = await runsOf(test);
    expect(minutes(runs)).toEqual(["2026-06-01T10:00", "2026-06-01T10:02"]);
    expect(runs[0]?.metadata).toMatchObject({ team: "a", cron_id: cron.cronId });
    expect(new Set(runs.map(({ threadId }) => threadId)).size).toBe(2);
    const now = await test.services.crons.get(ANONYMOUS, cron.cronId);
    expect(new Date(now.nextRunAt ?? 0).toISOString()).toBe("2026-06-01T10:04:00.000Z");
  });

  it("hands everything of a body to the run", async () => {
    const test = await openAt("2026-06-01T10:00:30Z");
    startScheduler(test);
    const support = {
      langsmith: false,
      webhooks: { judge: (url: string) => ({ kind: "allowed", webhook: { host: "a.example:443", url } }) as const },
    };
    const body = {
      assistant_id: "quick",
      schedule: "* * * * *",
      input: { n: 1 },
      config: { tags: ["t"], recursion_limit: 7, configurable: { tone: "dry" } },
      context: { user: "ann" },
      webhook: "https://a.example/in",
      interrupt_before: ["one"],
      interrupt_after: "*",
      stream_mode: ["updates", "custom"],
      stream_subgraphs: true,
      stream_resumable: true,
      checkpoint_during: false,
      timeout_seconds: 9,
      multitask_strategy: "rollback",
    };
    const kwargs = {
      input: { n: 1 },
      context: { user: "ann" },
      webhook: { host: "a.example:443", url: "https://a.example/in" },
      interruptBefore: ["one"],
      interruptAfter: "*",
      streamModes: ["updates", "custom"],
      streamSubgraphs: true,
      streamResumable: true,
      durability: "exit",
      timeoutMs: 9_000,
      temporary: true,
    };
    const { crons } = test.services;
    const created = await crons.create(ANONYMOUS, null, decodeCronCreate(body, support, { onThread: false }));
    // The same by a change of one that has nothing.
    const plain = await createCron(test, { onRunCompleted: "delete" });
    const { assistant_id: _, schedule: __, multitask_strategy: ___, ...patch } = body;
    await crons.update(ANONYMOUS, plain.cronId, decodeCronPatch(patch, support));
    await pass(test, MINUTE_MS);
    for (const { cronId } of [created, plain]) {
      const [run] = await runsOf(test, cronId);
      expect(run?.kwargs).toMatchObject(kwargs);
      expect(run?.kwargs.config).toMatchObject({ tags: ["t"], recursion_limit: 7, configurable: { tone: "dry" } });
    }
    expect((await runsOf(test, created.cronId))[0]?.multitaskStrategy).toBe("rollback");
  });

  it("are executed, and leave no thread behind where that is asked for", async () => {
    const test = await openAt("2026-06-01T10:00:30Z", { start: true });
    startScheduler(test);
    await createCron(test, { onRunCompleted: "delete" });
    await pass(test, MINUTE_MS, 1_000);
    await test.until(() => test.scripted.executions.length === 1, "the run");
    await test.until(async () => (await test.store.threads.count({ access: ALL_ROWS })) === 0, "the thread's end");
    expect(test.scripted.executions).toHaveLength(1);
  });

  it("wait behind a busy thread, tick after tick, and a cron is never silenced by one", async () => {
    const test = await openAt("2026-06-01T10:00:30Z");
    startScheduler(test);
    const threadId = await test.newThread();
    await test.run("stuck", { threadId });
    const enqueue = await createCron(test, {}, threadId);
    const reject = await createCron(test, { multitaskStrategy: "reject", metadata: { kind: "reject" } }, threadId);
    await pass(test, 3 * MINUTE_MS);
    expect(await runsOf(test, enqueue.cronId)).toHaveLength(3);
    expect(await runsOf(test, reject.cronId)).toHaveLength(0);
    // Its ticks are refused, and it goes on.
    const next = (await test.services.crons.get(ANONYMOUS, reject.cronId)).nextRunAt ?? 0;
    expect(new Date(next).toISOString()).toBe("2026-06-01T10:04:00.000Z");
  });

  it("end with the end, with disabling and with deletion", async () => {
    const test = await openAt("2026-06-01T10:00:30Z");
    startScheduler(test);
    const ending = await createCron(test, { endTime: Date.parse("2026-06-01T10:02:10Z") });
    const disabled = await createCron(test);
    const deleted = await createCron(test);
    await pass(test, MINUTE_MS);
    await test.services.crons.update(ANONYMOUS, disabled.cronId, { enabled: false });
    await test.services.crons.delete(ANONYMOUS, deleted.cronId);
    await pass(test, 4 * MINUTE_MS);
    expect(await runsOf(test, ending.cronId)).toHaveLength(2);
    expect(await runsOf(test, disabled.cronId)).toHaveLength(1);
    expect(await runsOf(test, deleted.cronId)).toHaveLength(1);
    expect((await test.services.crons.get(ANONYMOUS, ending.cronId)).nextRunAt).toBeNull();
    await test.services.crons.update(ANONYMOUS, disabled.cronId, { enabled: true });
    await pass(test, MINUTE_MS);
    expect(await runsOf(test, disabled.cronId)).toHaveLength(2);
  });
});

describe("through both changes of daylight saving", () => {
  it.each([
    // Spring, New York: 07:00Z is 02:00 → 03:00.
    ["30 2 * * *", "2026-03-07T07:00Z", ["2026-03-07T07:30", "2026-03-08T07:00", "2026-03-09T06:30"]],
    // Autumn: 06:00Z is 02:00 → 01:00 for the second time.
    ["30 1 * * *", "2026-10-31T05:00Z", ["2026-10-31T05:30", "2026-11-01T05:30", "2026-11-02T06:30"]],
  ])("%s in New York has one run a day, across restarts", async (schedule, from, expected) => {
    const test = await openAt(from);
    let scheduler = startScheduler(test);
    await createCron(test, { schedule, timezone: "America/New_York" });
    for (let hour = 0; hour < 50; hour += 1) {
      await pass(test, 60 * MINUTE_MS, MINUTE_MS / 2);
      // Another process, or the same one anew.
      await scheduler.stop();
      scheduler = startScheduler(test);
    }
    expect(minutes(await runsOf(test))).toEqual(expected);
  });

  it.each([
    ["2026-03-08T04:45Z", 6],
    ["2026-11-01T03:45Z", 6],
  ])("what comes every hour comes every hour (%s)", async (from, hours) => {
    const test = await openAt(from);
    startScheduler(test);
    await createCron(test, { schedule: "0 * * * *", timezone: "America/New_York" });
    await pass(test, hours * 60 * MINUTE_MS, MINUTE_MS / 2);
    const times = (await runsOf(test)).map(({ createdAt }) => Math.floor(createdAt / MINUTE_MS));
    expect(times).toHaveLength(hours);
    for (const [i, time] of times.entries()) expect(time - (times[0] ?? 0)).toBe(60 * i);
  });
});

describe("ticks that nobody was there for", () => {
  it.each([
    ["skip", 0],
    ["once", 1],
    ["all", 5],
  ] as const)("%s: %i runs for eight of them", async (missed, count) => {
    const test = await openAt("2026-06-01T10:00:30Z");
    const cron = await createCron(test, { schedule: "*/10 * * * *" });
    await pass(test, 85 * MINUTE_MS, 85 * MINUTE_MS);
    startScheduler(test, { policy: { ...POLICY, missed, maxMissed: 5 } });
    await pass(test, 2 * MINUTE_MS, 5_000);
    expect(await runsOf(test, cron.cronId)).toHaveLength(count);
    // And from here on as ever.
    await pass(test, 10 * MINUTE_MS);
    expect(await runsOf(test, cron.cronId)).toHaveLength(count + 1);
  });
});

describe("what goes wrong", () => {
  it("two schedulers start each tick's run once", async () => {
    const test = await openAt("2026-06-01T10:00:30Z");
    for (let i = 0; i < 3; i += 1) startScheduler(test);
    const crons = await Promise.all(Array.from({ length: 25 }, () => createCron(test)));
    await pass(test, 4 * MINUTE_MS);
    for (const { cronId } of crons) expect(await runsOf(test, cronId)).toHaveLength(4);
  });

  it.each(["before", "after"] as const)("a process that dies %s it has fired leaves one run", async (moment) => {
    const test = await openAt("2026-06-01T10:00:30Z");
    const { crons } = test.store;
    let deaths = 0;
    const dying: CronStore = {
      ...crons,
      async fire(params) {
        deaths += 1;
        if (moment === "after") await crons.fire(params);
        throw new Error("the process is gone");
      },
    };
    const first = startScheduler(test, { crons: dying });
    const cron = await createCron(test);
    await pass(test, 31_000, 1_000);
    await first.stop();
    expect(deaths).toBe(1);
    expect(await runsOf(test)).toHaveLength(moment === "after" ? 1 : 0);
    startScheduler(test);
    // The claim of the dead one runs out.
    await pass(test, 15_000, 1_000);
    expect(minutes(await runsOf(test, cron.cronId))).toEqual(["2026-06-01T10:01"]);
  });

  it("a storage that is away for some seconds delays a tick and loses none", async () => {
    const test = await openAt("2026-06-01T10:00:30Z");
    const { crons } = test.store;
    let isAway = false;
    const away =
      <A extends readonly unknown[], R>(call: (...args: A) => Promise<R>) =>
      (...args: A): Promise<R> =>
        isAway ? Promise.reject(new HeddleError("STORAGE_UNAVAILABLE")) : call(...args);
    const failing: CronStore = {
      ...crons,
      claimDue: away(crons.claimDue),
      nextDueAt: away(crons.nextDueAt),
      fire: away(crons.fire),
    };
    startScheduler(test, { crons: failing });
    await createCron(test);
    await pass(test, 20_000);
    isAway = true;
    await pass(test, 40_000, 1_000);
    expect(await runsOf(test)).toHaveLength(0);
    isAway = false;
    await pass(test, 15_000, 1_000);
    expect(await runsOf(test)).toHaveLength(1);
  });

  it("a cron whose thread or assistant is gone is removed", async () => {
    const test = await openAt("2026-06-01T10:00:30Z");
    startScheduler(test);
    const assistant = await test.services.assistants.create(ANONYMOUS, { graphId: "quick", ifExists: "raise" });
    const threadId = await test.newThread();
    await createCron(test, { assistantId: assistant.assistantId });
    await createCron(test, {}, threadId);
    await test.services.threads.delete(ANONYMOUS, threadId);
    await test.services.assistants.delete(ANONYMOUS, assistant.assistantId, { deleteThreads: false });
    expect(await test.store.crons.count({ access: ALL_ROWS })).toBe(0);
    await pass(test, 2 * MINUTE_MS);
    expect(await runsOf(test)).toEqual([]);
  });
});

describe("with authorization", () => {
  const ada: Caller = { identity: "ada", permissions: ["p"], user: { identity: "ada", team: "red" } };
  const bob: Caller = { identity: "bob", permissions: [], user: { identity: "bob" } };
  let refused: string[] = [];
  const owners: Authorizer = {
    authorize(caller, { resource, action, value }) {
      if (action === "create_run" && refused.includes(caller.identity ?? "")) throw new HeddleError("FORBIDDEN");
      if (resource === "assistants") return { access: ALL_ROWS, value };
      const where = { owner: caller.identity };
      const metadata = "metadata" in value ? { ...(value["metadata"] as object), owner: caller.identity } : undefined;
      return { access: { kind: "match", where }, value: { ...value, ...(metadata && { metadata }) } };
    },
  };
  afterEach(() => {
    refused = [];
  });

  it("runs are started as whoever created the cron, and are theirs", async () => {
    const test = await openAt("2026-06-01T10:00:30Z", { authorizer: owners });
    startScheduler(test);
    const cron = await createCron(test, { metadata: {} }, null, ada);
    await pass(test, MINUTE_MS);
    const [run] = await runsOf(test, cron.cronId);
    expect(run?.kwargs.config["configurable"]).toMatchObject({
      langgraph_auth_user_id: "ada",
      langgraph_auth_user: { team: "red" },
      langgraph_auth_permissions: ["p"],
    });
    const thread = await test.services.threads.get(ada, run?.threadId ?? "");
    expect(thread.metadata).toMatchObject({ owner: "ada", cron_id: cron.cronId });
    await expect(test.services.threads.get(bob, run?.threadId ?? "")).rejects.toMatchObject({
      code: "THREAD_NOT_FOUND",
    });
  });

  it("nobody else sees, changes or deletes it, or makes one for a hidden thread", async () => {
    const test = await openAt("2026-06-01T10:00:30Z", { authorizer: owners });
    const { crons, threads } = test.services;
    const { threadId } = await threads.create(ada, { ifExists: "raise" });
    const { cronId } = await createCron(test, {}, threadId, ada);
    const page = { limit: 10, offset: 0, sortBy: "created_at", sortOrder: "desc" } as const;
    await expect(createCron(test, {}, threadId, bob)).rejects.toMatchObject({ code: "THREAD_NOT_FOUND" });
    await expect(crons.get(bob, cronId)).rejects.toMatchObject({ code: "CRON_NOT_FOUND" });
    await expect(crons.update(bob, cronId, { enabled: false })).rejects.toMatchObject({ code: "CRON_NOT_FOUND" });
    await expect(crons.delete(bob, cronId)).rejects.toMatchObject({ code: "CRON_NOT_FOUND" });
    expect(await crons.search(bob, page)).toEqual({ rows: [], total: 0 });
    expect(await crons.count(bob, {})).toBe(0);
    expect(await crons.count(ada, {})).toBe(1);
  });

  it("a creator who may no longer create runs gets none, and the cron goes on", async () => {
    const test = await openAt("2026-06-01T10:00:30Z", { authorizer: owners });
    startScheduler(test);
    const cron = await createCron(test, {}, null, ada);
    refused = ["ada"];
    await pass(test, 2 * MINUTE_MS);
    expect(await runsOf(test, cron.cronId)).toHaveLength(0);
    refused = [];
    await pass(test, MINUTE_MS);
    expect(await runsOf(test, cron.cronId)).toHaveLength(1);
  });

  it("what a body says of a caller is not believed", async () => {
    const test = await openAt("2026-06-01T10:00:30Z", { authorizer: owners });
    const config = { configurable: { langgraph_auth_user_id: "bob", kept: 1 } };
    const cron = await createCron(test, { payload: { ...EACH_MINUTE.payload, config } }, null, ada);
    expect(cron.payload.config).toEqual({ configurable: { kept: 1 } });
    const changed = await test.services.crons.update(ada, cron.cronId, { payload: { config } });
    expect(changed.payload.config).toEqual({ configurable: { kept: 1 } });
  });
});
