import type { JsonObject } from "../../core/json.js";
import type { TransferKind, TransferRow } from "../../core/row-transfer.js";
import { transferredCrons } from "./cron-store.js";
import { AWKWARD_JSON } from "./json-cases.js";
import { KWARGS, uuid } from "./suite.js";

const NUMBERS = { large: 1e300, small: 5e-324, integer: 9_007_199_254_740_991, negative: -1.5 };
export const JSON_CASES: JsonObject = { ...AWKWARD_JSON, numbers: NUMBERS };

export const PLAIN_KWARGS = JSON.parse(JSON.stringify(KWARGS)) as JsonObject;

/** Alive, expired and not swept, and gone. */
export const RECORD_TEXTS = ['{ "b":1.0, "a":"\\u0000 é \ud83d\ude00" }', "null", null] as const;

/** Rows as every store must read back what it was given. */
export const ROWS: Readonly<Record<TransferKind, readonly TransferRow[]>> = {
  assistants: [1, 2].map((n) => ({
    key: uuid(n),
    value: {
      assistantId: uuid(n),
      graphId: "agent",
      name: "é \ud83d\ude00",
      description: n === 1 ? null : "",
      config: { configurable: JSON_CASES },
      context: n === 1 ? null : [JSON_CASES],
      metadata: JSON_CASES,
      version: n,
      createdAt: 1_700_000_000_000 + n,
      updatedAt: 1_800_000_000_000 + n,
    },
  })),
  assistantVersions: [1, 2, 11].map((version) => ({
    key: `${uuid(1)}:${String(version).padStart(10, "0")}`,
    value: {
      assistantId: uuid(1),
      graphId: "agent",
      name: "n",
      description: "d",
      config: JSON_CASES,
      context: {},
      metadata: JSON_CASES,
      version,
      createdAt: 1_700_000_000_000 + version,
    },
  })),
  threads: (["idle", "interrupted", "error"] as const).map((settledStatus, n) => ({
    key: uuid(0x10 + n),
    value: {
      threadId: uuid(0x10 + n),
      createdAt: 1_700_000_000_000,
      updatedAt: 1_700_000_000_002,
      stateUpdatedAt: 1_700_000_000_001,
      metadata: JSON_CASES,
      config: JSON_CASES,
      settledStatus,
      values: n === 0 ? null : { messages: [JSON_CASES] },
      interrupts: n === 0 ? null : { task: [JSON_CASES] },
      error: settledStatus === "error" ? { error: "TypeError", message: "a\u0000b" } : null,
      temporary: n === 1,
      watched: n === 2,
      ttl: n === 0 ? null : { strategy: n === 1 ? "delete" : "keep_latest", ttlMs: 60_000 * n },
    },
  })),
  runs: (["success", "error", "interrupted", "pending"] as const).map((status, n) => ({
    key: uuid(0x20 + n),
    value: {
      runId: uuid(0x20 + n),
      threadId: uuid(0x10),
      assistantId: uuid(1),
      graphId: "agent",
      createdAt: 1_700_000_000_000,
      updatedAt: 1_700_000_000_001,
      dueAt: 1_700_000_000_000 + n,
      status,
      metadata: JSON_CASES,
      kwargs: { ...PLAIN_KWARGS, input: JSON_CASES, interruptBefore: "*", context: [null], temporary: n === 0 },
      multitaskStrategy: "rollback",
      attempt: n,
      error: status === "error" ? { error: "E", message: "m" } : null,
      leaseToken: n,
      cancelRequested: status === "pending" ? "interrupt" : null,
    },
  })),
  crons: transferredCrons({ assistantId: uuid(1), threadId: uuid(0x10), json: JSON_CASES }),
  items: [["a"], ["a", "b.c"], ["%", "\ud83d\ude00"]].map((namespace, n) => ({
    key: JSON.stringify([namespace, `k"${n}\u0000`]),
    value: {
      namespace,
      key: `k"${n}\u0000`,
      value: JSON_CASES,
      createdAt: 1_700_000_000_000 + n,
      updatedAt: 1_700_000_000_001 + n,
      ttlMs: n === 1 ? 60_000 : null,
      expiresAt: n === 1 ? 4_000_000_000_000 : null,
      embedding: n === 0 ? null : { fingerprint: 'one"\u0000', paths: n === 1 ? null : ["a", "b[*].c"] },
      // As bytes, which an encrypted storage seals.
      vectors: Array.from({ length: n }, (_, at) => ({
        path: `p${at}\u0000`,
        values: Buffer.from(Float32Array.of(0.6, -0.8, 0, 1e-7 * at).buffer).toString("base64"),
      })),
    },
  })),
  apiKeys: [1, 2, 3].map((n) => ({
    key: uuid(0x30 + n),
    value: {
      keyId: uuid(0x30 + n),
      digest: String(n).repeat(64),
      label: `é \u0001 \ud83d\ude00 ' "`,
      identity: "ada",
      tenant: n === 1 ? null : "acme",
      permissions: n === 1 ? [] : ["threads:*", "a\u0000b"],
      createdAt: 1_700_000_000_000 + n,
      expiresAt: n === 2 ? 1_800_000_000_000 : null,
      revokedAt: n === 3 ? 1_700_000_000_009 : null,
    },
  })),
  records: RECORD_TEXTS.map((value, n) => {
    const place = { space: "state", owner: n === 0 ? "" : "é \u0001", collection: "c/d", key: `k" \ud83d\ude00${n}` };
    return {
      key: JSON.stringify([place.space, place.owner, place.collection, place.key]),
      value: {
        ...place,
        version: 7 - n,
        value,
        labels: n === 0 ? { "a.b": "$x", "": "é" } : {},
        createdAt: 1_700_000_000_000,
        updatedAt: 1_700_000_000_001 + n,
        expiresAt: n === 1 ? 1_700_000_000_002 : null,
        sequence: 40 - n,
        tracked: n === 0,
        disposable: n === 1,
      },
    };
  }),
};
