import { afterEach, describe, expect, it } from "vitest";
import { createStorage } from "../../support/server.js";
import { serve, type Served } from "./served.js";

/* Who takes requests need not be who executes runs: the events of a run come from whichever process runs it. */

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function pair(storage: "postgres" | "mongodb"): Promise<Served> {
  const { uri, drop } = await createStorage(storage);
  closers.push(drop);
  const worker = await serve({ uri }, { role: "worker", worker: { pollMs: 100 } });
  closers.push(() => worker.close());
  await worker.server.start();
  const api = await serve({ uri }, { role: "api", worker: { pollMs: 100 } });
  closers.push(() => api.close());
  return api;
}

describe.each(["postgres", "mongodb"] as const)("a process for requests and one for runs on %s", (storage) => {
  it("16, 17: a run that another process executes has its whole log, and its end last", async () => {
    const { ann } = await pair(storage);
    const runId = await ann.start("conformance-multi-node");
    await ann.reaches(runId, "completed");
    const types = (await ann.log(runId)).map(({ type }) => type as string);
    expect(types[0]).toBe("run.started");
    expect(types.at(-1)).toBe("run.completed");
    expect(types.filter((type) => type === "node.completed")).toHaveLength(3);
  });

  it("34, 35: a run that another process executes waits, is answered, and goes on", async () => {
    const { ann } = await pair(storage);
    const runId = await ann.start("conformance-approval");
    const waiting = await ann.reaches(runId, "waiting-approval");
    expect(waiting.currentNodeId).toBe("gate");
    const answer = await ann.send("POST", `/v1/runs/${runId}/interrupts/gate`, { resumeValue: { action: "accept" } });
    expect(answer.status).toBe(200);
    await ann.reaches(runId, "completed");
  });

  it("31: a run that another process executes is cancelled within seconds", async () => {
    const { ann } = await pair(storage);
    const runId = await ann.start("conformance-cancellable");
    await ann.reaches(runId, "running");
    expect((await ann.send("POST", `/v1/runs/${runId}/cancel`, {})).status).toBe(200);
    await ann.reaches(runId, "cancelled");
    expect((await ann.log(runId)).at(-1)).toMatchObject({ type: "run.cancelled" });
  });
});
