import { randomUUID } from "node:crypto";
import pg from "pg";
import { expect, it } from "vitest";
import { asJsonText } from "../../../src/core/json.js";
import type { LogWrite } from "../../../src/streaming/event-storage.js";
import { openPostgresEventStorage } from "../../../src/streaming/postgres-event-storage.js";
import { createDatabase } from "../../support/postgres.js";

const NOTHING_EVICTED = { tokensTo: -1, statesTo: -1 };

function write(runId: string, params: { readonly seq: number; readonly leaseToken: number }): LogWrite {
  const { seq, leaseToken } = params;
  return {
    run: { runId, threadId: "thread" },
    resumable: false,
    lasting: false,
    leaseToken,
    storedSeq: seq === 0 ? null : seq,
    events: [{ seq, event: "values", data: asJsonText("{}"), kind: "state" }],
    nextSeq: seq + 1,
    bytes: 72,
    evicted: NOTHING_EVICTED,
    sealForMs: null,
  };
}

it("notifies of logs that another process follows, made or wrote, and of no others", async () => {
  const { uri, drop } = await createDatabase();
  const client = new pg.Client({ connectionString: uri });
  await client.connect();
  const heard: string[] = [];
  const [home, asked, made, taken] = [randomUUID(), randomUUID(), randomUUID(), randomUUID()];
  try {
    const writer = await openPostgresEventStorage(uri, { cwd: "/" });
    const reader = await openPostgresEventStorage(uri, { cwd: "/" });
    for (const runId of [home, asked, taken]) await writer.write([write(runId, { seq: 0, leaseToken: 1 })]);
    // Made by a process that does not execute it.
    await reader.write([write(made, { seq: 0, leaseToken: 0 })]);
    const watch = reader.watch?.({ onGrown: () => undefined, onRead: () => undefined, onMissed: () => undefined });
    watch?.add({ runId: asked, threadId: "thread" });
    expect(await reader.head({ runId: asked, threadId: "thread" })).toMatchObject({ nextSeq: 1 });
    // Looked at, and not to be told of.
    expect(await reader.head({ runId: home, threadId: "thread" })).toMatchObject({ nextSeq: 1 });
    await client.query("LISTEN heddle_events");
    client.on("notification", ({ payload = "" }) => heard.push(payload));
    for (const runId of [home, asked]) await writer.write([write(runId, { seq: 1, leaseToken: 1 })]);
    for (const runId of [made, taken]) await writer.write([write(runId, { seq: 1, leaseToken: 2 })]);
    await writer.close();
    await reader.close();
    // Notifications arrive in order: when this one is there, so are all before.
    const marker = new Promise<void>((resolve) => {
      client.on("notification", ({ payload }) => {
        if (payload === "marker") resolve();
      });
    });
    await client.query("NOTIFY heddle_events, 'marker'");
    await marker;
    const named = (runId: string): boolean => heard.some((payload) => payload.includes(runId));
    expect({ home: named(home), asked: named(asked), made: named(made), taken: named(taken) }).toEqual({
      home: false,
      asked: true,
      made: true,
      taken: true,
    });
  } finally {
    await client.end();
    await drop();
  }
});
