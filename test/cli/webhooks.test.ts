import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createApp } from "../../src/app.js";
import { echo } from "../fixtures/graphs/index.js";
import { openReceiver, until } from "../webhooks/receiver.js";
import { heddle } from "./heddle.js";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "heddle-webhooks-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const SILENT = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

it("lists webhooks, shows one, and has a server send it again", async () => {
  const storage = `sqlite:${join(dir, ".heddle/heddle.db")}`;
  const told = await openReceiver();
  const webhooks = { url: { requireHttps: false, disableLoopback: false } };
  const server = await createApp({ graphs: { echo }, storage, webhooks, env: {}, logger: SILENT });
  const run = (...args: readonly string[]) => heddle(["webhooks", ...args, "--storage", storage], { cwd: dir });
  try {
    expect(run("list")).toMatchObject({ status: 0, stdout: expect.stringContaining("no webhooks") as string });
    const body = JSON.stringify({ assistant_id: "echo", input: { messages: [] }, webhook: `${told.url}/?key=s3cret` });
    await server.app.request("/runs/wait", { method: "POST", body });
    await told.got(1);
    type Listed = readonly { readonly delivery_id: string; readonly status: string }[];
    const list = () => JSON.parse(run("list", "--status", "delivered", "--json").stdout) as Listed;
    await until(() => list().length === 1);
    const id = list()[0]?.delivery_id ?? "";
    const shown = run("show", id);
    expect(shown.stdout).toContain("HTTP 204");
    expect(shown.stdout + run("list").stdout).not.toContain("s3cret");
    expect(run("redeliver", id)).toMatchObject({ status: 0 });
    await told.got(2);
    expect(told.received[1]?.headers["webhook-id"]).toBe(id);
    const none = run("show", "msg_none");
    expect(none).toMatchObject({ status: 1, stderr: expect.stringContaining("no delivery msg_none") as string });
    expect(run("list", "--limit", "0").status).toBe(1);
  } finally {
    await server.close();
    await told.close();
  }
}, 60_000);
