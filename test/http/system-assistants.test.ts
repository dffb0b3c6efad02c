import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { systemAssistantId } from "../../src/services/identifiers.js";
import { counter, echo } from "../fixtures/graphs/index.js";
import { ownersAuth } from "../support/owners-auth.js";
import { openHttpApp } from "./app.js";
import { as, openOwned, type Row } from "./users.js";

const directory = mkdtempSync(join(tmpdir(), "heddle-system-assistants-"));
afterAll(() => rmSync(directory, { recursive: true }));

const FUTURE = systemAssistantId("future");
const system = { created_by: "system" };

/** A server without the graph `future`, on whose id bob has put an assistant of his; then one with it. */
async function openTaken(name: string, squat: (bob: ReturnType<typeof as>) => Promise<unknown>) {
  const storage = `sqlite:${join(directory, name)}`;
  const before = await openHttpApp({ storage, auth: ownersAuth(), graphs: { counter } });
  await squat(as(before, "bob"));
  await before.close();
  const app = await openHttpApp({ storage, auth: ownersAuth(), graphs: { counter, future: counter } });
  return { app, ann: as(app, "ann"), bob: as(app, "bob") };
}

describe("the id of a future graph's assistant", () => {
  it("that somebody has taken is freed when the graph is there", async () => {
    const { app, ann, bob } = await openTaken("taken.db", async (user) => {
      const made = await user("POST", "/assistants", {
        assistant_id: FUTURE,
        graph_id: "counter",
        config: { recursion_limit: 1 },
        metadata: { mine: 1 },
      });
      expect(made.status).toBe(200);
      // Nor does it help to have said so in a version.
      const claim = await user("PATCH", `/assistants/${FUTURE}`, { metadata: system });
      expect(claim.status).toBe(403);
    });
    // With the limit of bob's assistant it would fail.
    const ran = await ann("POST", "/runs/wait", { assistant_id: "future", input: { n: 1 } });
    expect(ran).toMatchObject({ status: 200, body: { n: 4 } });
    expect((await bob("GET", `/assistants/${FUTURE}`)).status).toBe(404);
    expect((await bob("POST", `/assistants/${FUTURE}/latest`, { version: 1 })).status).toBe(404);
    expect(app.log.filter(({ level }) => level === "warn")).toMatchObject([
      { fields: { assistantId: FUTURE, graphId: "future", takenFor: "counter" } },
    ]);
    const all = await openHttpApp({
      storage: `sqlite:${join(directory, "taken.db")}`,
      graphs: { counter, future: counter },
    });
    const found = (await all.json("GET", `/assistants/${FUTURE}`)).body as Row;
    expect(found).toMatchObject({ graph_id: "future", name: "future", version: 1, config: {} });
    expect(found["metadata"]).toEqual(system);
    expect(all.log.filter(({ level }) => level === "warn")).toEqual([]);
  });

  it("is nobody's to run but its owner's, while the server runs", async () => {
    const { ann, bob } = await openOwned({
      graphs: { counter, echo },
      auth: ownersAuth().on("assistants:delete", () => true),
    });
    const id = systemAssistantId("counter");
    expect((await ann("DELETE", `/assistants/${id}`)).status).toBeLessThan(300);
    expect((await bob("POST", "/assistants", { assistant_id: id, graph_id: "echo" })).status).toBe(200);
    for (const assistant of [id, "counter"]) {
      expect((await ann("POST", "/runs/wait", { assistant_id: assistant, input: {} })).status).toBe(404);
    }
    expect((await bob("POST", "/runs/wait", { assistant_id: id, input: { messages: [] } })).status).toBe(200);
  });
});

describe("the mark of the server's own assistants", () => {
  it("is nobody else's to give", async () => {
    const { ann, bob } = await openOwned();
    const made = await ann("POST", "/assistants", { graph_id: "counter", metadata: system });
    expect(made).toMatchObject({ status: 403, body: { detail: expect.stringContaining("metadata.created_by") } });
    const own = await ann("POST", "/assistants", { graph_id: "counter" });
    const path = `/assistants/${String(own.body["assistant_id"])}`;
    expect((await ann("PATCH", path, { metadata: system })).status).toBe(403);
    expect((await bob("PATCH", path, { metadata: system })).status).toBe(404);
    expect((await ann("GET", path)).body["metadata"]).toEqual({ owner: "ann" });
  });

  it("may come back as it was read, from a handler, and without authentication", async () => {
    const { ann } = await openOwned({ auth: ownersAuth().on("assistants", () => true) });
    const id = systemAssistantId("counter");
    expect((await ann("PATCH", `/assistants/${id}`, { name: "c", metadata: system })).status).toBe(200);
    const { ann: chosen } = await openOwned({
      auth: ownersAuth().on("assistants:create", ({ value }) => {
        (value as { metadata?: object }).metadata = { ...value.metadata, ...system };
      }),
    });
    expect((await chosen("POST", "/assistants", { graph_id: "counter" })).body["metadata"]).toEqual(system);
    const app = await openHttpApp();
    expect((await app.json("POST", "/assistants", { graph_id: "counter", metadata: system })).status).toBe(200);
  });
});
