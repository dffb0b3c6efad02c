import { afterEach, describe, expect, it } from "vitest";
import { parseJsonText, toJsonText, type JsonObject } from "../../../src/core/json.js";
import { eventKey, EVENTS_SPACE } from "../../../src/protocols/openwop/event.js";
import { LAUNCHES_SPACE } from "../../../src/protocols/openwop/event-log.js";
import { INDEX_SPACE, RUNS_SPACE } from "../../../src/protocols/openwop/run-record.js";
import { createStoreRegistry } from "../../../src/stores/registry.js";
import { createStorage } from "../../support/server.js";
import { courseOf, serve } from "./served.js";

/* Requests with an Idempotency-Key whose process died between what they did and the keeping of their answer. */

const open: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close();
});

const OWNER = "id:ann";

async function place(storage: "sqlite" | "postgres") {
  const { uri, drop } = await createStorage(storage);
  open.push(drop);
  const served = await serve({ uri });
  open.push(() => served.close());
  const logger = { debug() {}, info() {}, warn() {}, error() {} };
  const { metadata } = await createStoreRegistry([]).open(uri, { cwd: process.cwd(), logger });
  open.push(() => metadata.close());
  const { records } = metadata;
  return {
    uri,
    served,
    records,
    /** As the storage is when the process has died before the answer was kept. */
    async forgetAnswer(operation: string, key: string): Promise<void> {
      const at = { space: "idempotency", owner: OWNER, collection: `openwop ${operation}`, key };
      const entry = await records.get(at);
      expect(entry).not.toBeNull();
      const said = parseJsonText(entry?.value ?? toJsonText({})) as JsonObject;
      const outcome = await records.write({ ...at, value: toJsonText({ ...said, answer: null }) });
      expect(outcome.kind).toBe("written");
    },
  };
}

describe.each(["sqlite", "postgres"] as const)("a request that is sent again after a crash, on %s", (storage) => {
  it("27: starts no second run", async () => {
    const { served, forgetAnswer } = await place(storage);
    const { ann } = served;
    const key = { "idempotency-key": "once", "x-dedup": "enforce" };
    const body = { workflowId: "conformance-approval", scopeId: "s" };
    const first = await ann.send("POST", "/v1/runs", body, key);
    await ann.reaches(first.body.runId, "waiting-approval");
    await forgetAnswer("runs.create", "once");
    const again = await ann.send("POST", "/v1/runs", body, key);
    expect([again.status, again.body.runId, again.body.status]).toEqual([201, first.body.runId, "waiting-approval"]);
    expect(await ann.client.threads.search({ limit: 10 })).toHaveLength(1);
  });

  it("27: makes no second fork", async () => {
    const { served, forgetAnswer } = await place(storage);
    const { ann } = served;
    const runId = await ann.start("conformance-multi-node");
    await ann.reaches(runId, "completed");
    const key = { "idempotency-key": "once" };
    const body = { mode: "branch", fromSeq: 5 };
    const first = await ann.send("POST", `/v1/runs/${runId}:fork`, body, key);
    expect(first.status).toBe(201);
    await ann.reaches(first.body.runId, "completed");
    const log = await ann.log(first.body.runId);
    await forgetAnswer(`runs.${runId}.fork`, "once");
    const again = await ann.send("POST", `/v1/runs/${runId}:fork`, body, key);
    expect([again.status, again.body.runId, again.body.fromSeq]).toEqual([201, first.body.runId, 5]);
    // With the times of its events: it has not been made anew.
    expect(await ann.log(first.body.runId)).toEqual(log);
    expect(await ann.client.threads.search({ limit: 10 })).toHaveLength(2);
  });

  it("27: takes up a fork whose thread was copied, and no more", async () => {
    const { uri, served, records, forgetAnswer } = await place(storage);
    const { ann } = served;
    const runId = await ann.start("conformance-multi-node");
    await ann.reaches(runId, "completed");
    const key = { "idempotency-key": "once" };
    const body = { mode: "branch", fromSeq: 5 };
    const { body: fork } = await ann.send("POST", `/v1/runs/${runId}:fork`, body, key);
    await ann.reaches(fork.runId, "completed");
    const whole = await ann.log(fork.runId);
    await served.server.close();
    await records.remove({ space: RUNS_SPACE, owner: OWNER, collection: "", key: fork.runId });
    await records.remove({ space: INDEX_SPACE, owner: "", collection: "", key: fork.runId });
    await records.removeCollection({ space: EVENTS_SPACE, owner: OWNER, collection: fork.runId });
    for (const { sequence } of whole) {
      const launch = { space: LAUNCHES_SPACE, owner: OWNER, collection: fork.runId, key: eventKey(sequence) };
      await records.remove(launch);
    }
    await forgetAnswer(`runs.${runId}.fork`, "once");
    const later = await serve({ uri });
    open.push(() => later.close());
    const again = later.as(ann.secret);
    const made = await again.send("POST", `/v1/runs/${runId}:fork`, body, key);
    expect([made.status, made.body.runId]).toEqual([201, fork.runId]);
    await again.reaches(fork.runId, "completed");
    expect(courseOf(await again.log(fork.runId))).toEqual(courseOf(whole));
  });

  it("27: subscribes no second time, and tells the secret that it has told", async () => {
    const { served, records, forgetAnswer } = await place(storage);
    const key = { "idempotency-key": "once" };
    const body = { url: "http://127.0.0.1:9/hook", events: ["run.completed"] };
    const first = await served.ann.send("POST", "/v1/webhooks", body, key);
    expect(first.status).toBe(201);
    await forgetAnswer("webhooks.create", "once");
    const again = await served.ann.send("POST", "/v1/webhooks", body, key);
    expect([again.status, again.body]).toEqual([201, first.body]);
    expect(await records.count({ space: "openwop-webhooks", owner: OWNER })).toBe(1);
  });
});
