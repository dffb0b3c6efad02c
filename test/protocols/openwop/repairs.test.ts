import { afterEach, describe, expect, test } from "vitest";
import { eventKey, EVENTS_SPACE } from "../../../src/protocols/openwop/event.js";
import { indexWrite, LAUNCHES_SPACE } from "../../../src/protocols/openwop/event-log.js";
import { INDEX_SPACE } from "../../../src/protocols/openwop/run-record.js";
import { createStoreRegistry } from "../../../src/stores/registry.js";
import { createStorage } from "../../support/server.js";
import { type Json, type Served, serve, typesOf, until, type User } from "./served.js";

const open: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close();
});

/** A server, and the records of its storage as a crash may leave them. */
async function place(storage: "sqlite" | "postgres") {
  const { uri, drop } = await createStorage(storage);
  open.push(drop);
  const served: Served = await serve({ uri });
  open.push(() => served.close());
  const logger = { debug() {}, info() {}, warn() {}, error() {} };
  const { metadata } = await createStoreRegistry([]).open(uri, { cwd: process.cwd(), logger });
  open.push(() => metadata.close());
  return { uri, served, records: metadata.records };
}

/** Take the events from a sequence on out of a log, and let another server read it anew. */
async function cut(
  { uri, served, records }: Awaited<ReturnType<typeof place>>,
  runId: string,
  from: number,
): Promise<User> {
  const { ann } = served;
  const events = await ann.log(runId);
  await served.server.close();
  for (const { sequence } of events.slice(from)) {
    await records.remove({ space: EVENTS_SPACE, owner: "id:ann", collection: runId, key: eventKey(sequence) });
  }
  for (const { sequence } of events) {
    await records.remove({ space: LAUNCHES_SPACE, owner: "id:ann", collection: runId, key: eventKey(sequence) });
  }
  const again = await serve({ uri });
  await again.server.start();
  open.push(() => again.close());
  return again.as(ann.secret);
}

const shapeOf = (events: readonly Json[]) =>
  events.map(({ type, nodeId, payload, sequence }) => [type, nodeId, payload, sequence]);

describe.each(["sqlite", "postgres"] as const)("what a crash leaves of a run on %s", (storage) => {
  test.each([
    ["conformance-multi-node", "completed"],
    ["conformance-failure", "failed"],
  ])("53: the end of %s is told by whoever reads it", async (workflow, status) => {
    const at = await place(storage);
    const runId = await at.served.ann.start(workflow);
    await at.served.ann.reaches(runId, status);
    const events = await at.served.ann.log(runId);
    const ann = await cut(at, runId, events.length - 1);
    expect((await ann.log(runId)).length).toBeGreaterThanOrEqual(events.length - 1);
    await ann.reaches(runId, status);
    const repaired = await ann.log(runId);
    expect(typesOf(repaired)).toEqual(typesOf(events));
    expect(repaired.at(-1).sequence).toBe(events.length - 1);
  });

  test("53: what a run waits for is told by whoever reads it", async () => {
    const at = await place(storage);
    const runId = await at.served.ann.start("conformance-approval");
    await at.served.ann.reaches(runId, "waiting-approval");
    const events = await at.served.ann.log(runId);
    const ann = await cut(at, runId, typesOf(events).indexOf("node.suspended"));
    await ann.reaches(runId, "waiting-approval");
    expect(shapeOf(await ann.log(runId))).toEqual(shapeOf(events));
    const answer = { resumeValue: { action: "accept" } };
    expect((await ann.send("POST", `/v1/runs/${runId}/interrupts/gate`, answer)).status).toBe(200);
    await ann.reaches(runId, "completed");
  });
});

test("31: a run that has ended, and was not noted as such, is not looked at for ever", async () => {
  const { served, records } = await place("sqlite");
  const runId = await served.ann.start("conformance-noop");
  await served.ann.reaches(runId, "completed");
  const active = { space: INDEX_SPACE, owner: "", collection: "", labels: { active: "1" } };
  await until(async () => (await records.count(active)) === 0, "the end to be noted");
  await records.write(indexWrite({ owner: "id:ann", runId }, true));
  expect(await records.count(active)).toBe(1);
  await until(async () => (await records.count(active)) === 0, "the sweep to note the end");
}, 30_000);

test("54: with its thread, a run is gone", async () => {
  const at = await place("sqlite");
  const { ann } = at.served;
  const runId = await ann.start("conformance-approval");
  await ann.reaches(runId, "waiting-approval");
  await ann.client.threads.delete(runId);
  expect((await ann.send("GET", `/v1/runs/${runId}`)).status).toBe(404);
  const events = { space: EVENTS_SPACE, owner: "id:ann", collection: runId };
  expect(await at.records.count(events)).toBe(0);
  expect(await at.records.count({ space: "openwop-index", owner: "", collection: "" })).toBe(0);
});

test("39: an interrupt that nobody answers in time ends its run", async () => {
  const served = await serve("memory");
  open.push(() => served.close());
  const { ann } = served;
  const runId = await ann.start("hurried");
  expect((await ann.reaches(runId, "failed")).error.code).toBe("approval_timeout");
  const late = await ann.send("POST", `/v1/runs/${runId}/interrupts/ask`, { resumeValue: { action: "accept" } });
  expect(late.status).toBe(410);
  expect(typesOf(await ann.log(runId)).slice(-2)).toEqual(["node.failed", "run.failed"]);
});

test("48: what a workflow's own schema does not allow is refused", async () => {
  const served = await serve("memory");
  open.push(() => served.close());
  const { ann } = served;
  const body = (configurable: Json) => ({ workflowId: "conformance-configurable-schema", configurable });
  for (const configurable of [{ recursionLimit: 0 }, { recursionLimit: "3" }, { tags: [1] }, { other: true }]) {
    const { status, body: refused } = await ann.send("POST", "/v1/runs", body(configurable));
    expect([400, 422]).toContain(status);
    expect(refused.error).toBe("validation_error");
  }
  const { status } = await ann.send("POST", "/v1/runs", body({ recursionLimit: 5, tags: ["a"] }));
  expect(status).toBe(201);
});
