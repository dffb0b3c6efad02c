import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openAuditFile } from "../../../src/audit/audit-file.js";
import { openAudit } from "../../../src/audit/open-audit.js";
import type { AuditEntry } from "../../../src/core/audit.js";

function collectedLog() {
  const lines: { readonly fields: object; readonly message: string }[] = [];
  const at = (fields: object, message: string) => void lines.push({ fields, message });
  return { lines, logger: { debug: at, info: at, warn: at, error: at } };
}
const entry = (requestId: string) => ({ requestId }) as AuditEntry;

test("entries that were lost while the target was slow are told of", async () => {
  const { lines, logger } = collectedLog();
  const begun = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  let written = 0;
  const write = async () => {
    written += 1;
    begun.resolve();
    await go.promise;
  };
  const audit = await openAudit({ kind: "function", write, required: false }, logger);
  await audit.write([entry("first")]);
  await begun.promise;
  await audit.write(Array.from({ length: 10_007 }, (_, i) => entry(String(i))));
  go.resolve();
  await audit.close();
  expect(written).toBe(10_001);
  expect(lines).toEqual([{ fields: { lost: 7 }, message: "entries of the audit log were lost" }]);
});

test("a function is not handed an entry again that it has taken", async () => {
  const taken: string[] = [];
  let fails = true;
  const write = ({ requestId }: AuditEntry) => {
    if (fails && requestId === "c") throw new Error("away");
    taken.push(requestId);
  };
  const { logger } = collectedLog();
  const audit = await openAudit({ kind: "function", write, required: true }, logger);
  await expect(audit.write(["a", "b", "c", "d"].map(entry))).rejects.toMatchObject({ code: "STORAGE_UNAVAILABLE" });
  fails = false;
  await audit.write([entry("e")]);
  expect(taken).toEqual(["a", "b", "c", "d", "e"]);
});

test("what follows half a line in a file is on a line of its own", async () => {
  const dir = mkdtempSync(join(tmpdir(), "heddle-audit-"));
  try {
    const path = join(dir, "audit.jsonl");
    // Opens, and has no room.
    symlinkSync("/dev/full", path);
    const file = await openAuditFile(path);
    await expect(file.append([entry("a")])).rejects.toThrow(/ENOSPC/);
    rmSync(path);
    writeFileSync(path, '{"reque');
    await file.append([entry("a")]);
    await file.append([entry("b")]);
    await file.close();
    expect(readFileSync(path, "utf8")).toBe('{"reque\n{"requestId":"a"}\n{"requestId":"b"}\n');
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
