import { describe, expect, it } from "vitest";
import { createStorage, STORAGES } from "../support/server.js";
import { framesOf, openHttpApp } from "./app.js";
import { atEnd, closeAtEnd } from "./listening.js";
import { openOwned } from "./users.js";

closeAtEnd();

const BODY = { assistant_id: "echo", input: { messages: [{ role: "user", content: "hi" }] } };

type App = Awaited<ReturnType<typeof openHttpApp>>;

function posting(app: App) {
  return (path: string, key: string, body: unknown = BODY) =>
    app.request("POST", path, body, { headers: { "idempotency-key": key } });
}

async function runsOf(app: App, thread: string): Promise<readonly string[]> {
  const { body } = await app.json("GET", `/threads/${thread}/runs`);
  return (body as { run_id: string }[]).map(({ run_id }) => run_id);
}

const runIdOf = async (response: Response) => ((await response.json()) as { run_id: string }).run_id;

describe("Idempotency-Key on the creation of runs", () => {
  it("five at once create one run, and all are answered with it", async () => {
    const app = await openHttpApp();
    const thread = await app.newThread();
    const post = posting(app);
    const answers = await Promise.all(Array.from({ length: 5 }, () => post(`/threads/${thread}/runs`, "k1")));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    expect(answers.filter(({ headers }) => headers.get("idempotent-replayed") === "true")).toHaveLength(4);
    const locations = new Set(answers.map(({ headers }) => headers.get("content-location")));
    const texts = new Set(await Promise.all(answers.map((answer) => answer.text())));
    expect([texts.size, locations.size]).toEqual([1, 1]);
    expect(await runsOf(app, thread)).toHaveLength(1);
  });

  it("another key, another thread and no key are other runs", async () => {
    const app = await openHttpApp();
    const [one, two] = [await app.newThread(), await app.newThread()];
    const post = posting(app);
    for (const key of ["k1", "k2", "k1"]) await (await post(`/threads/${one}/runs/wait`, key)).text();
    await (await post(`/threads/${two}/runs/wait`, "k1")).text();
    await app.json("POST", `/threads/${one}/runs`, { ...BODY, multitask_strategy: "enqueue" });
    expect([(await runsOf(app, one)).length, (await runsOf(app, two)).length]).toEqual([3, 1]);
  });

  it("the order of members makes no other request; another body is refused and creates nothing", async () => {
    const app = await openHttpApp();
    const thread = await app.newThread();
    const post = posting(app);
    const first = await runIdOf(await post(`/threads/${thread}/runs`, "k1"));
    const turned = { input: BODY.input, assistant_id: BODY.assistant_id };
    expect(await runIdOf(await post(`/threads/${thread}/runs`, "k1", turned))).toBe(first);
    const other = await post(`/threads/${thread}/runs`, "k1", { ...BODY, input: { messages: [] } });
    expect(other.status).toBe(422);
    expect(await other.json()).toEqual({
      detail: expect.stringMatching(/^Idempotency-Key: was used for another/) as string,
    });
    expect(await runsOf(app, thread)).toEqual([first]);
  });

  it.each([
    ["", 422],
    ["x".repeat(256), 422],
    ["x".repeat(255), 200],
  ])("a key of %.4s… %#", async (key, status) => {
    const app = await openHttpApp();
    expect((await posting(app)("/runs", key)).status).toBe(status);
  });

  it("a request that failed leaves its key free", async () => {
    const app = await openHttpApp();
    const thread = await app.newThread();
    const post = posting(app);
    expect((await post(`/threads/${thread}/runs`, "k1", { ...BODY, assistant_id: "nobody" })).status).toBe(404);
    expect((await post(`/threads/${thread}/runs`, "k1")).status).toBe(200);
    expect(await runsOf(app, thread)).toHaveLength(1);
  });

  it("several runs at once take no key", async () => {
    const app = await openHttpApp();
    expect((await posting(app)("/runs/batch", "k1", [BODY])).status).toBe(422);
  });

  it.each(["wait", "stream"])("a repetition of %s joins the run, with and without a thread", async (form) => {
    const app = await openHttpApp();
    const thread = await app.newThread();
    const post = posting(app);
    for (const path of [`/threads/${thread}/runs/${form}`, `/runs/${form}`]) {
      const first = await post(path, "k1", { ...BODY, stream_resumable: true, on_completion: "keep" });
      const text = await first.text();
      const again = await post(path, "k1", { ...BODY, stream_resumable: true, on_completion: "keep" });
      expect([again.status, again.headers.get("idempotent-replayed")]).toEqual([200, "true"]);
      expect(again.headers.get("content-location")).toBe(first.headers.get("content-location"));
      const other = await again.text();
      const parsed = form === "wait" ? (answer: string): unknown => JSON.parse(answer) : framesOf;
      expect(parsed(other)).toEqual(parsed(text));
      expect(first.headers.get("idempotent-replayed")).toBeNull();
    }
    expect(await runsOf(app, thread)).toHaveLength(1);
  });

  it("two users have keys of their own", async () => {
    const { app } = await openOwned();
    const ids = new Set<string>();
    for (const name of ["ann", "bob", "ann"]) {
      const headers = { authorization: `Bearer ${name}`, "idempotency-key": "k1" };
      const response = await app.request("POST", "/runs", BODY, { headers });
      expect(response.status).toBe(200);
      ids.add(await runIdOf(response));
    }
    expect(ids.size).toBe(2);
  });
});

describe.each(STORAGES.filter((name) => name !== "memory" && name !== "two processes"))(
  "Idempotency-Key on %s",
  (name) => {
    it("outlives a restart, and holds between two servers", async () => {
      const { uri, drop } = await createStorage(name);
      atEnd(drop);
      const first = await openHttpApp({ storage: uri });
      const thread = await first.newThread();
      const id = await runIdOf(await posting(first)(`/threads/${thread}/runs`, "k1"));
      if (name === "sqlite") await first.close();
      const second = await openHttpApp({ storage: uri });
      const again = await posting(second)(`/threads/${thread}/runs`, "k1");
      expect([await runIdOf(again), again.headers.get("idempotent-replayed")]).toEqual([id, "true"]);
      expect(await runsOf(second, thread)).toEqual([id]);
      await second.close();
    });
  },
);
