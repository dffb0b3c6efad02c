import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { openReceiver, type Receiver } from "../webhooks/receiver.js";
import { type ServedProcess, serve } from "./process.js";

const WEBHOOKS = {
  url: { require_https: false, disable_loopback: false },
  delivery: { timeout_ms: 1_000 },
};

let dir = "";
let told: Receiver;
let running: ServedProcess[] = [];
const start = async (): Promise<ServedProcess> => {
  const server = await serve(join(dir, "heddle.db"), { LANGGRAPH_WEBHOOKS: JSON.stringify(WEBHOOKS) });
  running.push(server);
  return server;
};

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "heddle-webhooks-"));
  told = await openReceiver();
  running = [];
});
afterEach(async () => {
  for (const server of running) await server.kill("SIGKILL");
  await told.close();
  rmSync(dir, { recursive: true, force: true });
});

it("comes although the process is killed right after the run's end, and while it is being sent", async () => {
  // The first attempt is never answered: kill -9 finds it under way, or not begun.
  told.answers((response, count) => (count === 1 ? undefined : response.writeHead(200).end()));
  const first = await start();
  const { thread_id: threadId } = await first.client.threads.create();
  const webhook = `${told.url}/in`;
  await first.client.runs.wait(threadId, "steps", { input: { ms: 1, steps: 2 }, webhook });
  await first.kill("SIGKILL");

  const before = told.received.length;
  const second = await start();
  await told.got(before + 1);
  if (before === 0) await told.got(2);
  expect(told.received.at(-1)?.body).toMatchObject({ thread_id: threadId, status: "success", values: { done: 2 } });
  const [run] = await second.client.runs.list(threadId);
  for (const { headers } of told.received) expect(headers["webhook-id"]).toBe(`msg_${run?.run_id}`);
}, 60_000);
