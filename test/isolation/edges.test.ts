import { v7 } from "uuid";
import { afterEach, describe, expect, it } from "vitest";
import type { StorageName } from "../support/server.js";
import { servedRoutes } from "./cases/index.js";
import { plainer, saidOf, wholeOf } from "./compared.js";
import { activeOwner, following } from "./following.js";
import { OWNERS } from "./profiles.js";
import { NEVER_SECONDS, serve, type Served, type User } from "./served.js";
import { makeThings, OWNER, SECRET } from "./things.js";

interface RunRow {
  readonly run_id: string;
  readonly thread_id: string;
  readonly status: string;
}

const EVERYTHING = { channels: ["values", "updates", "messages", "lifecycle", "checkpoints", "tasks"] };
const LATER = { assistant_id: "stuck", input: {}, after_seconds: NEVER_SECONDS };
const SAID = { assistant_id: "echo", input: { messages: [{ role: "user", content: SECRET }] } };

let served: Served | null = null;
afterEach(async () => {
  await served?.close();
  served = null;
});

async function two(storage: StorageName): Promise<{ served: Served; ann: User; bob: User }> {
  served = await serve(storage, OWNERS);
  return { served, ann: await served.user(OWNER), bob: await served.user("bob") };
}

describe.each(["memory", "sqlite", "postgres"] as const)("on %s", (storage) => {
  it("who follows an id before somebody else makes it a thread is told nothing, and not that it is over", async () => {
    const { ann, bob } = await two(storage);
    const { assistant_id: assistantId } = await ann.json<{ assistant_id: string }>("POST", "/assistants", {
      graph_id: "echo",
    });
    const threadId = v7();
    const path = (id: string) => ({ path: `/threads/${id}/stream/events`, body: EVERYTHING });
    const streams = [await bob.open("POST", path(threadId)), await bob.open("POST", path(v7()))];
    const { goOn } = await activeOwner(ann, { assistantId }, threadId);
    await goOn();
    const [early, never] = streams.map((stream) => following(stream, String));
    for (const stream of streams) stream.close();
    expect(early).toEqual(never);
    expect(never).toEqual({ status: 200, text: "", isOver: false });
  });

  it("who makes a thread of an id that was somebody else's finds nothing of theirs", async () => {
    const { ann, bob } = await two(storage);
    const threadId = v7();
    await ann.json("POST", "/threads", { thread_id: threadId, metadata: { topic: SECRET } });
    const told = await ann.open("POST", { path: `/threads/${threadId}/stream/events`, body: EVERYTHING });
    const { run_id: runId } = await ann.json<RunRow>("POST", `/threads/${threadId}/runs`, SAID);
    await ann.json("GET", `/threads/${threadId}/runs/${runId}/join`);
    told.close();
    await ann.json("POST", `/threads/${threadId}/runs`, { assistant_id: "stuck", input: { text: SECRET } });
    await ann.json("DELETE", `/threads/${threadId}`);
    await bob.json("POST", "/threads", { thread_id: threadId });
    await bob.json("POST", `/threads/${threadId}/runs/wait`, { assistant_id: "counter", input: { n: 1 } });
    const reads: (readonly [string, string, object?])[] = [
      ["GET", ""],
      ["GET", "/state"],
      ["POST", "/history", { limit: 100 }],
      ["GET", "/runs?limit=100"],
      ["GET", `/runs/${runId}`],
      ["GET", `/runs/${runId}/stream?last_event_id=-1`],
      ["POST", "/commands", { id: 1, method: "state.listCheckpoints", params: {} }],
      ["POST", "/commands", { id: 1, method: "agent.getTree", params: {} }],
    ];
    for (const [method, rest, body] of reads) {
      const answer = await bob.ask(method, { path: `/threads/${threadId}${rest}`, body });
      expect([rest, wholeOf(answer).includes(SECRET), answer.status]).toEqual([
        rest,
        false,
        rest.includes(runId) ? 404 : 200,
      ]);
    }
    expect(await bob.json("GET", `/threads/${threadId}/runs`)).toHaveLength(1);
    expect(await bob.json("POST", `/threads/${threadId}/history`, { limit: 100 })).toHaveLength(5);
    const events = await bob.open("POST", { path: `/threads/${threadId}/stream/events`, body: EVERYTHING });
    // What it replays comes in pieces: one for each run.
    for (let tries = 0; !events.text().includes(`"n":4`) && tries < 500; tries += 1)
      await new Promise((done) => setTimeout(done, 10));
    expect(events.text()).toContain('"n":4');
    expect(events.text()).not.toContain(SECRET);
    events.close();
    expect((await ann.ask("GET", { path: `/threads/${threadId}` })).status).toBe(404);
  });

  it("who deletes an assistant with its threads, or cancels many runs, reaches no others", async () => {
    const { ann, bob } = await two(storage);
    const { assistant_id: assistantId } = await bob.json<{ assistant_id: string }>("POST", "/assistants", {
      graph_id: "stuck",
    });
    const { thread_id: named } = await ann.json<RunRow>("POST", "/threads", {
      metadata: { assistant_id: assistantId },
    });
    const hers = await ann.json<RunRow>("POST", "/runs", LATER);
    const his = await bob.json<RunRow>("POST", "/runs", { ...LATER, on_completion: "keep" });
    const running = await ann.json<RunRow>("POST", "/runs", { assistant_id: "stuck", input: {} });
    const cancelled = { thread_id: his.thread_id, run_ids: [hers.run_id, his.run_id, running.run_id] };
    await bob.json("POST", "/runs/cancel", cancelled);
    const statusOf = async (user: User, { thread_id: threadId, run_id: runId }: RunRow) =>
      (await user.json<RunRow>("GET", `/threads/${threadId}/runs/${runId}`)).status;
    expect(await statusOf(bob, his)).toBe("interrupted");
    await bob.json<RunRow>("POST", "/runs", { ...LATER, assistant_id: assistantId });
    await bob.json("DELETE", `/assistants/${assistantId}?delete_threads=true`);
    const again = await bob.json<RunRow>("POST", "/runs", { ...LATER, on_completion: "keep" });
    await bob.json("POST", "/runs/cancel?action=rollback", { status: "all" });
    expect((await bob.ask("GET", { path: `/threads/${again.thread_id}/runs/${again.run_id}` })).status).toBe(404);
    expect((await ann.ask("GET", { path: `/threads/${named}` })).status).toBe(200);
    expect(await statusOf(ann, hers)).toBe("pending");
    expect(["pending", "running"]).toContain(await statusOf(ann, running));
  });

  it("what is left of a stateless run is as missing as what never was", async () => {
    const { ann, bob } = await two(storage);
    const { headers } = await ann.ask("POST", { path: "/runs/wait", body: SAID });
    const location = headers.find(([name]) => name === "location")?.[1] ?? "";
    const [, threadId, runId] = /^\/threads\/([^/]+)\/runs\/([^/]+)\/join/.exec(location) ?? [];
    for (const rest of ["/stream?last_event_id=-1", "/join", "/explain", ""]) {
      for (const path of [
        (t = "", r = "") => `/threads/${t}/runs/${r}${rest}`,
        (_ = "", r = "") => `/runs/${r}${rest}`,
      ]) {
        const gone = await bob.ask("GET", { path: path(threadId, runId) });
        const never = await bob.ask("GET", { path: path(v7(), v7()) });
        const plain = plainer([]);
        expect([rest, saidOf(gone, plain())]).toEqual([rest, saidOf(never, plain())]);
        expect(gone.status).toBe(404);
      }
    }
  });
});

it("what is public says the same whatever there is, and preflights ask nobody", async () => {
  const { served: app, ann } = await two("memory");
  const read = async () => {
    const own = ["/info", "/ok?check_db=1", "/openapi.json", "/docs"];
    const wop = ["/openwop/.well-known/openwop", "/openwop/v1/openapi.json", "/openwop/openapi.json"];
    const paths = [...own, ...wop, "/state-store/health", "/agentex/readyz", "/snapstate/ready"];
    return Promise.all(paths.map(async (path) => (await app.anonymous.ask("GET", { path })).text));
  };
  const before = await read();
  await makeThings(ann);
  expect(await read()).toEqual(before);
  for (const route of servedRoutes(app).filter((one) => one.startsWith("OPTIONS "))) {
    const path = route.slice("OPTIONS ".length).replaceAll(/:\w+/g, v7());
    const headers = { origin: "https://elsewhere.example", "access-control-request-method": "POST" };
    const { status, text } = await app.anonymous.ask("OPTIONS", { path, headers });
    expect([route, status, text]).toEqual([route, 204, ""]);
  }
});
