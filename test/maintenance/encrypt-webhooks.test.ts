import { afterAll, describe, expect, it } from "vitest";
import type { HeddleServer } from "../../src/app.js";
import type { Cipher } from "../../src/core/cipher.js";
import { asJsonText } from "../../src/core/json.js";
import type { MetadataStore } from "../../src/core/metadata-store.js";
import { queuedMessage, type WebhookMessage } from "../../src/core/webhook-message.js";
import { sealedMetadataStore } from "../../src/encryption/sealed-metadata-store.js";
import { rewriteStorage } from "../../src/maintenance/encrypt/rewrite-storage.js";
import { createStoreRegistry } from "../../src/stores/registry.js";
import { cipherOf, newKey } from "../support/cipher.js";
import { call, secret } from "../support/diary.js";
import { openDiary, type Storage, STORAGES } from "../support/encrypted-storages.js";
import { openReceiver, until } from "../webhooks/receiver.js";

const open: Storage[] = [];
afterAll(async () => {
  for (const storage of open) await storage.close();
});

const webhooks = { url: { requireHttps: false, disableLoopback: false } };
const rewrite = (storage: Storage, cipher: Cipher, target: "active" | "clear") =>
  rewriteStorage({
    uri: storage.options.storage ?? "",
    context: { cwd: storage.options.cwd ?? "." },
    parts: "all",
    cipher,
    target,
    isDryRun: false,
  });
/** What the outbox holds, as text. */
const outboxOf = (dump: string): string =>
  dump
    .split("\n")
    .filter((line) => !line.startsWith("heddle_event"))
    .join("\n");

async function attemptsOf(server: HeddleServer, deliveryId: string): Promise<number> {
  const delivery = JSON.parse(await call(server, "GET", `/webhooks/deliveries/${deliveryId}`)) as { attempts: number };
  return delivery.attempts;
}

for (const [name, make] of Object.entries(STORAGES)) {
  if (name.includes("Redis")) continue;
  describe(`heddle encrypt and webhooks that wait: ${name}`, () => {
    it("encrypts, rotates and decrypts them; each time they are sent as they would have been", async () => {
      const storage = await make();
      open.push(storage);
      const told = await openReceiver();
      const url = `${told.url}/in?token=${secret("url")}`;
      const secrets = [secret("url"), secret("input"), secret("state")];
      let isDown = true;
      told.answers((response) => void response.writeHead(isDown ? 500 : 204).end());

      const clear = await openDiary(storage, { webhooks });
      const { thread_id: threadId } = JSON.parse(await call(clear, "POST", "/threads", {})) as { thread_id: string };
      const run = { assistant_id: "diary", input: { note: secret("input") }, webhook: url };
      await call(clear, "POST", `/threads/${threadId}/runs/wait`, run);
      const [first] = await told.got(1);
      const deliveryId = String(first?.headers["webhook-id"]);
      const sent = { ...first?.body, webhook_sent_at: expect.any(String) as string };
      expect(sent).toMatchObject({ values: { reply: secret("state") }, kwargs: { webhook: url } });
      await until(async () => (await attemptsOf(clear, deliveryId)) > 0);
      await clear.close();
      const held = async (): Promise<readonly string[]> => {
        const dump = outboxOf(await storage.dump());
        return secrets.filter((text) => dump.includes(text));
      };
      expect(await held()).toEqual(secrets);

      const [k1, k2] = [newKey("k1"), newKey("k2")];
      const steps = [
        { cipher: cipherOf(k1), target: "active", keys: [k1], left: [] },
        { cipher: cipherOf([k2, k1]), target: "active", keys: [k2], left: [] },
        { cipher: cipherOf(k2), target: "clear", keys: null, left: secrets },
      ] as const;
      for (const [n, { cipher, target, keys, left }] of steps.entries()) {
        const { counts } = await rewrite(storage, cipher, target);
        const ofWebhooks = counts.filter(({ name: table }) => table.startsWith("webhooks"));
        expect(ofWebhooks.reduce((sum, { rewritten }) => sum + rewritten, 0)).toBeGreaterThanOrEqual(2);
        expect(await held()).toEqual(left);
        isDown = n < steps.length - 1;
        const server = await openDiary(storage, { webhooks, ...(keys !== null && { encryption: { keys } }) });
        await call(server, "POST", `/webhooks/deliveries/${deliveryId}/redeliver`);
        await until(() => told.received.length >= n + 2);
        await until(async () => (await attemptsOf(server, deliveryId)) >= n + 2);
        await server.close();
        for (const { body } of told.received) expect(body).toEqual(sent);
      }
      await told.close();
    }, 120_000);

    it("seals messages whole, and rewrites those that wait", async () => {
      const storage = await make();
      open.push(storage);
      const { storage: uri = "", cwd = "." } = storage.options;
      const withOutbox = async <T>(cipher: Cipher | null, use: (store: MetadataStore) => Promise<T>): Promise<T> => {
        const { metadata, items } = await createStoreRegistry().open(uri, { cwd });
        try {
          return await use(cipher === null ? metadata : sealedMetadataStore(metadata, cipher, { warn: () => {} }));
        } finally {
          await items.close();
          await metadata.close();
        }
      };
      const message: WebhookMessage = {
        deliveryId: "d-1",
        host: "receiver.example:443",
        url: `https://receiver.example/?token=${secret("url")}`,
        threadId: null,
        body: asJsonText(`{"data":"${secret("input")}"}`),
        headers: { "x-key": secret("header") },
        signing: { scheme: "snapstate", secret: secret("signing") },
        maxAttempts: 1,
      };
      const secrets = [secret("url"), secret("input"), secret("header"), secret("signing")];
      const held = async (): Promise<readonly string[]> => {
        const dump = outboxOf(await storage.dump());
        return secrets.filter((text) => dump.includes(text));
      };
      const claimed = ({ deliveries }: MetadataStore) => deliveries.claim({ deliveryIds: ["d-1"], leaseMs: 0 });
      const [k1, k2] = [newKey("k1"), newKey("k2")];

      await withOutbox(cipherOf(k1), ({ deliveries }) => deliveries.enqueue(queuedMessage(message)));
      expect(await held()).toEqual([]);
      const said = { kind: "message", message: queuedMessage(message).message };
      expect(await withOutbox(cipherOf(k1), claimed)).toMatchObject([said]);
      const steps = [
        { cipher: cipherOf([k2, k1]), target: "active", reader: cipherOf(k2), left: [] },
        { cipher: cipherOf(k2), target: "clear", reader: null, left: secrets },
        { cipher: cipherOf(k1), target: "active", reader: cipherOf(k1), left: [] },
      ] as const;
      for (const { cipher, target, reader, left } of steps) {
        const { counts } = await rewrite(storage, cipher, target);
        expect(counts.find(({ name: table }) => table === "webhooks: messages")).toMatchObject({ rewritten: 1 });
        expect(await held()).toEqual(left);
        expect(await withOutbox(reader, claimed)).toMatchObject([said]);
      }
      // Whoever lacks the key gives it up, once and for all.
      expect(await withOutbox(cipherOf(k2), claimed)).toEqual([]);
      expect(await withOutbox(null, ({ deliveries }) => deliveries.get({ deliveryId: "d-1" }))).toMatchObject({
        status: "failed",
        log: [{ error: "the stored payload cannot be decrypted" }],
      });
    }, 60_000);
  });
}
