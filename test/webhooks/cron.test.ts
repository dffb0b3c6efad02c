import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Webhook } from "standardwebhooks";
import { afterAll, describe, expect, it } from "vitest";
import { openHttpApp } from "../http/app.js";
import { until } from "./receiver.js";
import { receiver } from "./sender-set-up.js";

const directory = mkdtempSync(join(tmpdir(), "heddle-cron-webhooks-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe("a cron with a webhook", () => {
  it.each(["/runs/crons", "/threads/:id/runs/crons"])(
    "by %s: its tick starts a run, and the run's end reaches the receiver, after a restart as well",
    async (path) => {
      const told = await receiver();
      const file = join(directory, `${path.length}.db`);
      const secret = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
      const options = {
        storage: `sqlite:${file}`,
        webhooks: { url: { requireHttps: false, disableLoopback: false }, secrets: [secret] },
      };
      const first = await openHttpApp(options);
      const threadId = await first.newThread();
      const created = await first.json("POST", path.replace(":id", threadId), {
        assistant_id: "echo",
        schedule: "0 0 1 1 *",
        input: { messages: [{ role: "user", content: "tick" }] },
        metadata: { team: "a" },
        webhook: `${told.url}/in?k=1`,
      });
      expect(created.status).toBe(200);
      const { cron_id: cronId } = created.body as { cron_id: string };
      await first.close();

      // The next first of January is now.
      const database = new DatabaseSync(file);
      const moved = database.prepare("UPDATE crons SET next_run_at = ? WHERE cron_id = ?").run(Date.now() - 1, cronId);
      expect(moved.changes).toBe(1);
      database.close();

      const second = await openHttpApp(options);
      await second.start();
      const [got] = await told.got(1);
      expect(got?.path).toBe("/in?k=1");
      expect(new Webhook(secret).verify(got?.text ?? "", got?.headers as Record<string, string>)).toEqual(got?.body);
      expect(got?.body).toMatchObject({
        status: "success",
        metadata: { team: "a", cron_id: cronId },
        values: { messages: [{ content: "tick" }, {}] },
        webhook_sent_at: expect.stringMatching(/Z$/) as string,
      });
      expect(got?.body["thread_id"] === threadId).toBe(path.startsWith("/threads"));
      const log = async () => (await second.json("GET", "/webhooks/deliveries")).body as { status: string }[];
      await until(async () => (await log())[0]?.status === "delivered");
      const cron = (await second.json("POST", "/runs/crons/search", {})).body as { next_run_date: string }[];
      expect(Date.parse(cron[0]?.next_run_date ?? "")).toBeGreaterThan(Date.now());
      expect(told.received).toHaveLength(1);
    },
  );
});
