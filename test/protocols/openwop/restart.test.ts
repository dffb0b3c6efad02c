import { afterEach, describe, expect, test } from "vitest";
import { type Program, startProgram } from "../../support/program.js";
import { createStorage } from "../../support/server.js";
import { courseOf, type Json, serve, typesOf, until, type User, userAt } from "./served.js";

const open: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close();
});

async function place(storage: "sqlite" | "postgres"): Promise<string> {
  const { uri, drop } = await createStorage(storage);
  open.push(drop);
  return uri;
}

/** A server in a process of its own. */
async function startElsewhere(uri: string): Promise<{ readonly program: Program; readonly ann: User }> {
  const program = await startProgram("openwop-server", [uri]);
  open.push(() => program.close());
  const { url, secret } = (await program.read()) as { readonly url: string; readonly secret: string };
  return { program, ann: userAt(url, secret) };
}

async function startHere(uri: string, secret: string): Promise<User> {
  const served = await serve({ uri });
  await served.server.start();
  open.push(() => served.close());
  return served.as(secret);
}

const gapless = (events: readonly Json[]): void =>
  expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, index) => index));

describe.each(["sqlite", "postgres"] as const)("OpenWOP's restart on %s", (storage) => {
  test("53: a run that waits is still waiting after kill -9, and can be answered", async () => {
    const uri = await place(storage);
    const { program, ann } = await startElsewhere(uri);
    const runId = await ann.start("conformance-approval");
    const before = await ann.reaches(runId, "waiting-approval");
    const events = await ann.log(runId);
    await program.close();

    const again = await startHere(uri, ann.secret);
    expect(await again.log(runId)).toEqual(events);
    const after = await again.snapshot(runId);
    expect(after).toMatchObject({ status: "waiting-approval", currentNodeId: "gate" });
    expect(after.interrupt.interruptId).toBe(before.interrupt.interruptId);
    const answered = await again.send("POST", `/v1/runs/${runId}/interrupts/gate`, {
      resumeValue: { action: "accept" },
    });
    expect(answered.status).toBe(200);
    await again.reaches(runId, "completed");
    expect((await again.log(runId)).slice(0, events.length)).toEqual(events);
  });

  test("53: a run that was killed in a node goes on, and tells of no start twice", async () => {
    const uri = await place(storage);
    const { program, ann } = await startElsewhere(uri);
    const runId = await ann.start("counting", { inputs: { steps: 6, stepMs: 300 } });
    await until(
      async () => typesOf(await ann.log(runId)).filter((type) => type === "node.started").length >= 3,
      "the third step",
    );
    const events = await ann.log(runId);
    await program.close();

    const again = await startHere(uri, ann.secret);
    const done = await again.reaches(runId, "completed");
    expect(done.variables.done).toBe(6);
    const log = await again.log(runId);
    gapless(log);
    expect(courseOf(log.slice(0, events.length))).toEqual(courseOf(events));
    expect(typesOf(log).filter((type) => type === "node.started")).toHaveLength(6);
    expect(typesOf(log).filter((type) => type === "node.completed")).toHaveLength(6);
    expect(typesOf(log).at(-1)).toBe("run.completed");
  }, 60_000);

  test("53: a paused run rests through kill -9", async () => {
    const uri = await place(storage);
    const { program, ann } = await startElsewhere(uri);
    const runId = await ann.start("counting", { inputs: { steps: 4, stepMs: 100 } });
    expect((await ann.send("POST", `/v1/runs/${runId}:pause`, {})).status).toBe(202);
    const events = await ann.log(runId);
    await program.close();

    const again = await startHere(uri, ann.secret);
    expect((await again.snapshot(runId)).status).toBe("paused");
    expect(await again.log(runId)).toEqual(events);
    expect((await again.send("POST", `/v1/runs/${runId}:resume`, {})).status).toBe(202);
    await again.reaches(runId, "completed");
    const log = await again.log(runId);
    gapless(log);
    expect(typesOf(log).filter((type) => type === "node.started")).toHaveLength(4);
  }, 60_000);

  test("27: a replayed answer survives a restart", async () => {
    const uri = await place(storage);
    const { program, ann } = await startElsewhere(uri);
    const headers = { "idempotency-key": "across" };
    const body = { workflowId: "conformance-noop" };
    const first = await ann.send("POST", "/v1/runs", body, headers);
    await program.close();
    const again = await (await startHere(uri, ann.secret)).send("POST", "/v1/runs", body, headers);
    expect(again.body).toEqual(first.body);
    expect(again.headers.get("openwop-idempotent-replay")).toBe("true");
  });
});
