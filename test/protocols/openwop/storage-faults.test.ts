import { describe, expect, test } from "vitest";
import type { MetadataStore } from "../../../src/core/metadata-store.js";
import type { RecordWrite } from "../../../src/core/record.js";
import { EVENTS_SPACE } from "../../../src/protocols/openwop/event.js";
import { openwop } from "../../../src/protocols/openwop/index.js";
import { openWrappedApp, type WrappedApp } from "../../fault/wrapped-app.js";
import { conformanceGraphs } from "./conformance-graphs.js";
import * as own from "./graphs.js";
import { type Json, typesOf, until } from "./served.js";

/* A storage that fails once, at the worst moment. */

/** A promise: it is carried out after that. */
type Hit = (method: string, args: readonly unknown[]) => "none" | "refused" | "answer-lost" | Promise<void>;

/** @param prefix of the names that `hit` is asked with: `records.writeAll` */
function failing<T extends object>(target: T, hit: Hit, prefix = ""): T {
  return new Proxy(target, {
    get(object, key): unknown {
      const value: unknown = Reflect.get(object, key);
      const name = `${prefix}${String(key)}`;
      if (typeof value === "object" && value !== null) return failing(value, hit, `${name}.`);
      if (typeof value !== "function") return value;
      return (...args: unknown[]): unknown => {
        const fault = hit(name, args);
        if (fault instanceof Promise) return fault.then((): unknown => Reflect.apply(value, object, args));
        if (fault === "refused") return Promise.reject(new Error(`injected: ${name}`));
        const answer: unknown = Reflect.apply(value, object, args);
        if (fault === "none") return answer;
        return Promise.resolve(answer).then(() => {
          throw new Error(`injected: the answer of ${name} is lost`);
        });
      };
    },
  });
}

/** The first call that is like this fails. */
function once(
  isIt: (method: string, args: readonly unknown[]) => boolean,
  fault: "refused" | "answer-lost" = "refused",
) {
  let isOver = false;
  const hit: Hit = (method, args) => {
    if (isOver || !isIt(method, args)) return "none";
    isOver = true;
    return fault;
  };
  return { hit, hasFailed: () => isOver };
}

/** Once it is armed, the next call of this method waits until it is let go on. */
function gate(method: string) {
  const [reached, open] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let isArmed = false;
  const hit: Hit = (name) => {
    if (!isArmed || name !== method) return "none";
    isArmed = false;
    reached.resolve();
    return open.promise;
  };
  return { hit, arm: () => void (isArmed = true), reached: reached.promise, open: () => open.resolve() };
}

/** Events of which one has this in it are appended. */
const appends = (text: string) => (method: string, args: readonly unknown[]) =>
  method === "records.writeAll" &&
  (args[0] as readonly RecordWrite[]).some(({ space, value }) => space === EVENTS_SPACE && value.includes(text));

async function serveFailing(storage: "memory" | "sqlite", hit: Hit) {
  const app: WrappedApp = await openWrappedApp(storage, {
    store: (real) => ({ ...real, metadata: failing<MetadataStore>(real.metadata, hit) }),
    options: {
      graphs: { ...conformanceGraphs, ...own },
      protocols: [openwop()],
      worker: { leaseMs: 1_000, pollMs: 50 },
    },
  });
  await app.start();
  const send = async (method: string, path: string, body?: Json, headers: Readonly<Record<string, string>> = {}) => {
    const url = `http://heddle/openwop/v1/runs${path}`;
    const init = { method, headers: { "content-type": "application/json", accept: "application/json", ...headers } };
    const answer = await app.fetch(
      new Request(url, { ...init, ...(body !== undefined && { body: JSON.stringify(body) }) }),
    );
    return { status: answer.status, body: await answer.json() };
  };
  const snapshot = async (runId: string): Promise<Json> => (await send("GET", `/${runId}`)).body;
  return {
    send,
    snapshot,
    start: async (workflowId: string, body: Json = {}, headers = {}): Promise<string> =>
      (await send("POST", "", { workflowId, ...body }, headers)).body.runId,
    log: async (runId: string): Promise<Json[]> => (await send("GET", `/${runId}/events`)).body.events,
    async reaches(runId: string, ...statuses: readonly string[]): Promise<Json> {
      await until(
        async () => statuses.includes((await snapshot(runId)).status),
        `${runId} to be ${statuses.join(" or ")}`,
      );
      return snapshot(runId);
    },
  };
}

const approve = { resumeValue: { action: "accept" } };

describe.each(["memory", "sqlite"] as const)("on %s", (storage) => {
  test("34, 53: what a node asked is told, though its events could not be stored at first", async () => {
    const fault = once(appends('"node.started"'));
    const at = await serveFailing(storage, fault.hit);
    const runId = await at.start("conformance-approval");
    await at.reaches(runId, "waiting-approval", "paused");
    expect(fault.hasFailed()).toBe(true);
    expect(typesOf(await at.log(runId))).toEqual([
      "run.started",
      "node.started",
      "node.suspended",
      "interrupt.requested",
      "approval.requested",
    ]);
    expect((await at.send("POST", `/${runId}/interrupts/gate`, approve)).status).toBe(200);
    await at.reaches(runId, "completed");
  });

  test.each([
    ["no text is lost that could not be stored at first", "refused"],
    ["no text is told twice that was stored without an answer", "answer-lost"],
  ] as const)("16, 53: %s", async (_, how) => {
    const whole = await serveFailing(storage, () => "none");
    const fault = once(appends('"output.chunk"'), how);
    const at = await serveFailing(storage, fault.hit);
    const texts: string[] = [];
    for (const one of [whole, at]) {
      const runId = await one.start("conformance-stream-text");
      await one.reaches(runId, "completed");
      const chunks = (await one.log(runId)).filter(({ type }) => type === "output.chunk");
      texts.push(chunks.map(({ payload }) => payload.chunk).join(""));
    }
    expect(fault.hasFailed()).toBe(true);
    expect(texts[0]).not.toBe("");
    expect(texts[1]).toBe(texts[0]);
  });

  test("34, 53: what a node asked is told once, though the answer to its first write was lost", async () => {
    const fault = once(appends('"node.started"'), "answer-lost");
    const at = await serveFailing(storage, fault.hit);
    const runId = await at.start("conformance-approval");
    await at.reaches(runId, "waiting-approval", "paused");
    expect(fault.hasFailed()).toBe(true);
    const types = typesOf(await at.log(runId));
    expect(types).toEqual([
      "run.started",
      "node.started",
      "node.suspended",
      "interrupt.requested",
      "approval.requested",
    ]);
  });

  test("46: a replay whose question could not be told waits for nobody all the same", async () => {
    let runOfReplay = "";
    const fault = once((method, args) => runOfReplay !== "" && appends('"node.suspended"')(method, args));
    const at = await serveFailing(storage, fault.hit);
    const source = await at.start("conformance-approval");
    await at.reaches(source, "waiting-approval");
    await at.send("POST", `/${source}/interrupts/gate`, approve);
    await at.reaches(source, "completed");
    runOfReplay = "any";
    runOfReplay = (await at.send("POST", `/${source}:fork`, { mode: "replay" })).body.runId;
    await at.reaches(runOfReplay, "completed", "waiting-approval");
    expect(fault.hasFailed()).toBe(true);
    expect(typesOf(await at.log(runOfReplay))).toEqual(typesOf(await at.log(source)));
  });

  test("11: a run whose creation was carried out, and its answer lost, is a run", async () => {
    const fault = once((method) => method === "runs.create", "answer-lost");
    const at = await serveFailing(storage, fault.hit);
    const { status, body } = await at.send("POST", "", { workflowId: "conformance-noop" });
    expect([status, fault.hasFailed()]).toEqual([201, true]);
    await at.reaches(body.runId, "completed");
  });

  test("33: a run that is resumed before its LangGraph run has ended goes on, and has rested once", async () => {
    const end = gate("runs.finish");
    const at = await serveFailing(storage, end.hit);
    const runId = await at.start("counting", { inputs: { steps: 4, stepMs: 150 } });
    await at.reaches(runId, "running");
    end.arm();
    expect(await at.send("POST", `/${runId}:pause`, {})).toMatchObject({ status: 202, body: { status: "paused" } });
    expect((await at.send("POST", `/${runId}:resume`, {})).status).toBe(202);
    await end.reached;
    end.open();
    await at.reaches(runId, "completed");
    const types = typesOf(await at.log(runId));
    expect(types.filter((type) => type === "run.paused")).toHaveLength(1);
    expect(types.indexOf("run.resumed")).toBe(types.indexOf("run.paused") + 1);
  });

  test("33: a run that is resumed while it is being stopped goes on once it has stopped", async () => {
    const end = gate("runs.finish");
    const at = await serveFailing(storage, end.hit);
    const runId = await at.start("conformance-delay", { inputs: { delayMs: 1_500 } });
    await at.reaches(runId, "running");
    end.arm();
    const pausing = at.send("POST", `/${runId}:pause`, { drainPolicy: "immediate" });
    await end.reached;
    const resuming = at.send("POST", `/${runId}:resume`, {});
    await new Promise((resolve) => setTimeout(resolve, 20));
    end.open();
    expect((await resuming).status).toBe(202);
    await at.reaches(runId, "completed", "cancelled");
    expect((await pausing).status).toBe(202);
    expect(typesOf(await at.log(runId))).toEqual([
      "run.started",
      "node.started",
      "node.cancelled",
      "run.paused",
      "run.resumed",
      "node.started",
      "node.completed",
      "run.completed",
    ]);
  });

  test("31: a cancel that failed half way is finished by the next one", async () => {
    const fault = once(appends("parent cancelled"));
    const at = await serveFailing(storage, fault.hit);
    const parent = await at.start("conformance-approval");
    const child = await at.start("conformance-approval", {}, { "x-openwop-parent-run-id": parent });
    await at.reaches(child, "waiting-approval");
    expect((await at.send("POST", `/${parent}/cancel`, {})).status).toBeGreaterThanOrEqual(500);
    expect((await at.snapshot(child)).status).toBe("waiting-approval");
    expect(await at.send("POST", `/${parent}/cancel`, {})).toMatchObject({
      status: 200,
      body: { status: "cancelled" },
    });
    expect((await at.snapshot(child)).status).toBe("cancelled");
    const ends = (await at.log(parent)).filter(({ type }) => type === "run.cancelled");
    expect(ends).toHaveLength(1);
  });

  test("31: a cancel that failed half way, and that nobody repeats, is finished by the sweep", async () => {
    const fault = once(appends("parent cancelled"));
    const at = await serveFailing(storage, fault.hit);
    const parent = await at.start("conformance-approval");
    const child = await at.start("conformance-approval", {}, { "x-openwop-parent-run-id": parent });
    await at.reaches(child, "waiting-approval");
    await at.send("POST", `/${parent}/cancel`, {});
    await at.reaches(child, "cancelled");
    expect((await at.log(child)).at(-1).payload).toMatchObject({ parentRunId: parent, cancelledBy: "parent" });
  }, 30_000);

  test("53: a run can be read while nobody can tell what a crash has left of it", async () => {
    let isFaulty = false;
    let looks = 0;
    const at = await serveFailing(storage, (method) => {
      if (!isFaulty || method !== "runs.list") return "none";
      looks += 1;
      return "refused";
    });
    const runId = await at.start("conformance-cancellable");
    await at.reaches(runId, "running");
    isFaulty = true;
    await until(async () => {
      expect((await at.send("GET", `/${runId}`)).status).toBe(200);
      return looks > 0;
    }, "a look at the run's thread");
    isFaulty = false;
    await at.send("POST", `/${runId}/cancel`, {});
  }, 30_000);
});
