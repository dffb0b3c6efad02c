import { expect, it } from "vitest";
import type { OpenLeaseRenewer } from "../../../src/core/lease-renewal.js";
import { openPostgres } from "../../../src/databases/postgres/open.js";
import { createPostgresMetadataStore } from "../../../src/stores/postgres/index.js";
import { openLeaseRenewer } from "../../../src/stores/postgres/lease-renewer.js";
import { ALL, Rows } from "../../../src/testing/stores/suite.js";
import { createDatabase } from "../../support/postgres.js";
import { startLossyProxy } from "./lossy-proxy.js";

it("renews from a connection of its own, over a lost one, and only what still holds", async () => {
  const { uri, drop } = await createDatabase();
  const proxy = await startLossyProxy(uri);
  const database = await openPostgres(uri, { cwd: "/" });
  const store = await createPostgresMetadataStore(database);
  const rows = new Rows(store);
  try {
    const { leaseRenewal } = store;
    expect(leaseRenewal?.moduleUrl).toBe(
      new URL("../../../src/stores/postgres/lease-renewer.js", import.meta.url).href,
    );
    expect(structuredClone(leaseRenewal?.data)).toEqual({ uri });
    const open: OpenLeaseRenewer = openLeaseRenewer;
    const renewer = await open({ uri: proxy.uri });
    const [a, b] = [await rows.leased(await rows.thread()), await rows.leased(await rows.thread())];
    const expiry = async (runId: string): Promise<number> =>
      (await store.runs.explain({ runId, access: ALL }))?.holder?.expiresAt ?? 0;
    const [beforeA, beforeB] = [await expiry(a.run.runId), await expiry(b.run.runId)];
    const stale = { ...b.lease, leaseToken: b.lease.leaseToken + 1 };
    await renewer.renew({ leases: [stale, a.lease], leaseMs: 600_000 });
    const renewed = await expiry(a.run.runId);
    expect(renewed).toBeGreaterThan(beforeA + 500_000);
    expect(await expiry(b.run.runId)).toBe(beforeB);
    expect(await rows.finish(b.lease)).toBe(true);

    proxy.loseAnswer();
    await renewer.renew({ leases: [a.lease, b.lease], leaseMs: 1_200_000 });
    expect(proxy.lost).toBe(1);
    expect(await expiry(a.run.runId)).toBeGreaterThan(renewed + 500_000);
    // One connection, however often it was lost.
    const [{ connections } = {}] = await database.query({
      name: "",
      text: "SELECT count(*)::int AS connections FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
    });
    expect(connections).toBeLessThanOrEqual(2);
    await renewer.renew({ leases: [], leaseMs: 1 });
    await renewer.close();
  } finally {
    await store.close();
    await proxy.close();
    await drop();
  }
});

it("and the heartbeat do not wait for each other in a circle", async () => {
  const { uri, drop } = await createDatabase();
  const store = await createPostgresMetadataStore(await openPostgres(uri, { cwd: "/" }));
  const renewer = await openLeaseRenewer({ uri });
  const rows = new Rows(store);
  try {
    const leased = await Promise.all(Array.from({ length: 40 }, async () => rows.leased(await rows.thread())));
    const leases = leased.map(({ lease }) => lease);
    const started = performance.now();
    for (let n = 0; n < 20; n += 1) {
      const [beat] = await Promise.all([
        store.runs.heartbeat({ leases, leaseMs: 30_000 }),
        renewer.renew({ leases: leases.toReversed(), leaseMs: 30_000 }),
      ]);
      expect(beat.lost).toEqual([]);
    }
    // A deadlock is noticed after a second.
    expect(performance.now() - started).toBeLessThan(5_000);
  } finally {
    await renewer.close();
    await store.close();
    await drop();
  }
});
