import { describe, expect, test } from "vitest";
import { until } from "../support/server.js";
import type { HttpApp } from "./app.js";
import { framesOf, openHttpApp } from "./app.js";

const hello = { messages: [{ role: "human", content: "hello" }] };
/** Four seconds of work. */
const long = { assistant_id: "slow", input: { ms: 10, steps: 400 }, config: { recursion_limit: 1000 } };

interface RunBody {
  run_id: string;
  thread_id: string;
  status: string;
}

const statusOf = async (app: HttpApp, path: string) => ((await app.json("GET", path)).body as RunBody).status;

const endOf = async (app: HttpApp, path: string) => {
  await until(async () => (await statusOf(app, path)) !== "running", "the end of the run");
  return statusOf(app, path);
};

describe("creating", () => {
  test("create answers the run and where it is", async () => {
    const app = await openHttpApp();
    const threadId = await app.newThread();
    const { body, headers } = await app.json("POST", `/threads/${threadId}/runs`, {
      assistant_id: "echo",
      input: hello,
    });
    const run = body as RunBody;
    expect(run).toMatchObject({ thread_id: threadId, multitask_strategy: "enqueue" });
    expect(headers.get("content-location")).toBe(`/threads/${threadId}/runs/${run.run_id}`);
    expect(headers.get("location")).toBeNull();
    const stateless = await app.json("POST", "/runs", { assistant_id: "echo", input: hello });
    expect(stateless.headers.get("content-location")).toBe(`/runs/${(stateless.body as RunBody).run_id}`);
  });

  test("wait answers one JSON document, with locations in its head", async () => {
    const app = await openHttpApp();
    const threadId = await app.newThread();
    const response = await app.request("POST", `/threads/${threadId}/runs/wait`, {
      assistant_id: "echo",
      input: hello,
    });
    expect(response.headers.get("content-type")).toBe("application/json");
    const path = response.headers.get("content-location");
    expect(path).toMatch(new RegExp(`^/threads/${threadId}/runs/[0-9a-f-]{36}$`));
    expect(response.headers.get("location")).toBe(`${path}/join`);
    const values = (await response.json()) as { messages: unknown[] };
    expect(values.messages).toHaveLength(2);
    expect((await app.json("GET", `${path}/join`)).body).toEqual(values);
  });

  test("a failed run is a 200 with __error__, not encoded twice (Appendix A8)", async () => {
    const app = await openHttpApp();
    const { status, body } = await app.json("POST", "/runs/wait", { assistant_id: "failing", input: {} });
    expect(status).toBe(200);
    const error = (body as { __error__: { error: string; message: string } }).__error__;
    expect(error.error).toMatch(/Error$/);
    expect(error.message).not.toMatch(/^[{"]/);
  });

  test.each([
    ["POST /threads/T/runs", 404],
    ["POST /threads/T/runs/stream", 404],
    ["POST /threads/T/runs/wait", 404],
  ])("%s on a missing thread", async (route, status) => {
    const app = await openHttpApp();
    const missing = "01a200be-4578-7232-be96-50610380c170";
    const path = route.replace("POST ", "").replace("T", missing);
    expect(await app.json("POST", path, { assistant_id: "echo", input: hello })).toMatchObject({
      status,
      body: { detail: `Thread with ID ${missing} not found` },
    });
    const made = await app.request("POST", path, { assistant_id: "echo", input: hello, if_not_exists: "create" });
    expect(made.status).toBe(200);
    await made.text();
  });

  test("an unknown assistant is a 404 that says what would do", async () => {
    const app = await openHttpApp();
    for (const path of ["/runs", "/runs/stream", "/runs/wait"]) {
      expect(await app.json("POST", path, { assistant_id: "nobody" })).toMatchObject({
        status: 404,
        body: { detail: expect.stringContaining('No assistant found for "nobody"') as string },
      });
    }
  });

  test("a batch answers in order; an empty one is refused", async () => {
    const app = await openHttpApp();
    const { body } = await app.json("POST", "/runs/batch", [
      { assistant_id: "echo", input: hello, metadata: { n: 0 } },
      { assistant_id: "counter", input: { n: 0 }, metadata: { n: 1 } },
    ]);
    expect((body as { metadata: { n: number } }[]).map(({ metadata }) => metadata.n)).toEqual([0, 1]);
    expect((await app.request("POST", "/runs/batch", [])).status).toBe(422);
    expect((await app.request("POST", "/runs/batch", {})).status).toBe(422);
  });
});

describe("streaming", () => {
  test("head, framing and order", async () => {
    const app = await openHttpApp();
    const threadId = await app.newThread();
    const response = await app.request("POST", `/threads/${threadId}/runs/stream`, {
      assistant_id: "echo",
      input: hello,
      stream_mode: ["values", "updates"],
    });
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    expect(response.headers.get("cache-control")).toContain("no-cache");
    const path = response.headers.get("content-location");
    expect(response.headers.get("location")).toBe(`${path}/stream?last_event_id=-1`);
    expect(response.headers.get("access-control-allow-origin")).toBe("*");
    const text = await response.text();
    const frames = framesOf(text);
    expect(frames[0]).toEqual({ event: "metadata", data: { run_id: path?.split("/").at(-1), attempt: 1 }, id: "0" });
    expect(frames.map(({ id }) => id)).toEqual(frames.map((_, index) => String(index)));
    expect(frames.at(-1)).toMatchObject({ event: "end", data: { status: "success" } });

    const again = await app.request("GET", `${path}/stream`, undefined, { headers: { "last-event-id": "-1" } });
    expect(framesOf(await again.text())).toEqual(frames);
    const after = await app.request("GET", `${path}/stream`, undefined, { headers: { "last-event-id": "1" } });
    expect(framesOf(await after.text())).toEqual(frames.slice(2));
    const narrowed = await app.request("GET", `${path}/stream?last_event_id=-1&stream_mode=updates`);
    expect(narrowed.headers.get("location")).toBe(`${path}/stream?last_event_id=-1&stream_mode=updates`);
    expect([...new Set(framesOf(await narrowed.text()).map(({ event }) => event))]).toEqual([
      "metadata",
      "updates",
      "end",
    ]);
  });

  test("a stateless stream has ids and its own location", async () => {
    const app = await openHttpApp();
    const response = await app.request("POST", "/runs/stream", { assistant_id: "echo", input: hello });
    const path = response.headers.get("content-location");
    expect(path).toMatch(/^\/runs\/[0-9a-f-]{36}$/);
    expect(response.headers.get("location")).toMatch(
      new RegExp(`^/threads/[0-9a-f-]{36}${path}/stream\\?last_event_id=-1$`),
    );
    expect(framesOf(await response.text()).every(({ id }) => id !== undefined)).toBe(true);
  });

  test("namespace is refused by name", async () => {
    const app = await openHttpApp();
    const refused = await app.json("POST", "/runs/stream?namespace=a", { assistant_id: "echo", input: hello });
    expect(refused).toMatchObject({ status: 422, body: { detail: expect.stringMatching(/^namespace /) as string } });
  });
});

describe("clients that leave", () => {
  const start = async (app: HttpApp, how: "stream" | "wait", onDisconnect: "cancel" | "continue") => {
    const threadId = await app.newThread();
    const controller = new AbortController();
    const body = { ...long, on_disconnect: onDisconnect };
    const response = app.request("POST", `/threads/${threadId}/runs/${how}`, body, { signal: controller.signal });
    let runs: RunBody[] = [];
    await until(async () => {
      runs = (await app.json("GET", `/threads/${threadId}/runs`)).body as RunBody[];
      return runs[0]?.status === "running";
    }, "a running run");
    return { response, controller, path: `/threads/${threadId}/runs/${runs[0]?.run_id}` };
  };

  test("a cancelled stream body cancels the run, if asked", async () => {
    const app = await openHttpApp();
    const { response, path } = await start(app, "stream", "cancel");
    await (await response).body?.cancel();
    expect(await endOf(app, path)).toBe("interrupted");
  });

  test.each(["stream", "wait"] as const)("an aborted %s cancels the run, if asked", async (how) => {
    const app = await openHttpApp();
    const { response, controller, path } = await start(app, how, "cancel");
    await response;
    controller.abort();
    expect(await endOf(app, path)).toBe("interrupted");
  });

  test.each(["stream", "wait"] as const)("an aborted %s lets the run go on otherwise", async (how) => {
    const app = await openHttpApp();
    const { response, controller, path } = await start(app, how, "continue");
    await response;
    controller.abort();
    await (await response).body?.cancel();
    expect(await statusOf(app, path)).toBe("running");
    expect((await app.request("POST", `${path}/cancel?wait=1`)).status).toBe(204);
    expect(await statusOf(app, path)).toBe("interrupted");
  });

  test.each(["join", "stream"])("%s with cancel_on_disconnect", async (how) => {
    const app = await openHttpApp();
    const { response, controller, path } = await start(app, "stream", "continue");
    const left = new AbortController();
    const joined = await app.request("GET", `${path}/${how}?cancel_on_disconnect=1`, undefined, {
      signal: left.signal,
    });
    expect(joined.headers.get("location")).toBe(`${path}/${how}?cancel_on_disconnect=1`);
    left.abort();
    expect(await endOf(app, path)).toBe("interrupted");
    await (await response).text();
    controller.abort();
  });
});

describe("cancelling and listing", () => {
  test("202 without wait, 409 when it is over", async () => {
    const app = await openHttpApp();
    const threadId = await app.newThread();
    const run = (await app.json("POST", `/threads/${threadId}/runs`, long)).body as RunBody;
    const path = `/threads/${threadId}/runs/${run.run_id}`;
    expect((await app.request("POST", `${path}/cancel?wait=0`)).status).toBe(202);
    await (await app.request("GET", `${path}/join`)).text();
    expect((await app.json("POST", `${path}/cancel`)).status).toBe(409);
    expect(await app.json("DELETE", path)).toMatchObject({ status: 200, body: {} });
    expect((await app.request("GET", path)).status).toBe(404);
  });

  test("bulk: 204, 404 when nothing matched, 422 when it is not clear what is meant", async () => {
    const app = await openHttpApp();
    const threadId = await app.newThread();
    const run = (await app.json("POST", `/threads/${threadId}/runs`, long)).body as RunBody;
    const body = { thread_id: threadId, run_ids: [run.run_id] };
    expect((await app.request("POST", "/runs/cancel", body)).status).toBe(204);
    await (await app.request("GET", `/threads/${threadId}/runs/${run.run_id}/join`)).text();
    expect((await app.request("POST", "/runs/cancel", body)).status).toBe(404);
    expect((await app.request("POST", "/runs/cancel", { status: "all" })).status).toBe(404);
    expect((await app.request("POST", "/runs/cancel", { ...body, status: "all" })).status).toBe(422);
  });

  test("pages and selection of runs and threads", async () => {
    const app = await openHttpApp();
    const threadId = await app.newThread();
    for (let i = 0; i < 3; i++) {
      await app.json("POST", `/threads/${threadId}/runs/wait`, {
        assistant_id: "counter",
        input: { n: i },
        metadata: { i },
      });
    }
    const page = (await app.json("GET", `/threads/${threadId}/runs?limit=2&offset=1&select=metadata`)).body;
    expect((page as { metadata: { i: number } }[]).map((run) => [Object.keys(run), run.metadata.i])).toEqual([
      [["metadata"], 1],
      [["metadata"], 0],
    ]);
    for (let i = 0; i < 4; i++) await app.newThread();
    const search = (offset: number) => app.json("POST", "/threads/search", { limit: 2, offset, select: ["thread_id"] });
    const pages = await Promise.all([0, 2, 4].map(search));
    expect(pages.map(({ headers }) => [headers.get("x-pagination-total"), headers.get("x-pagination-next")])).toEqual([
      ["5", "2"],
      ["5", "4"],
      ["5", null],
    ]);
    expect((pages.at(-1)?.body as object[] | undefined)?.map((row) => Object.keys(row))).toEqual([["thread_id"]]);
    expect((await app.json("POST", "/threads/count", {})).body).toBe(5);
    const minimal = { headers: { prefer: "return=minimal" } };
    const patched = await app.request("PATCH", `/threads/${threadId}`, { metadata: { a: 1 } }, minimal);
    expect([patched.status, await patched.text()]).toEqual([204, ""]);
    expect(await app.json("DELETE", `/threads/${threadId}`)).toMatchObject({ status: 200, body: {} });
  });
});
