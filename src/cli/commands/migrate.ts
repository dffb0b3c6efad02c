import pc from "picocolors";
import { redactUri } from "../../config/redact.js";
import { HeddleError } from "../../core/errors.js";
import type { CompressionTarget } from "../../maintenance/recompress.js";
import type { SchemaVersions } from "../../maintenance/schema-versions.js";
import { createProgress } from "../progress.js";
import { printError, printLines } from "../report.js";
import {
  type StorageFlags,
  type StoragePart,
  type StorageSettings,
  storageParts,
  storageSettings,
} from "../storage-settings.js";

/** Exit code of `--dry-run` when something is to be done; 1 is an error. */
const PENDING = 2;

export interface MigrateFlags extends StorageFlags {
  readonly dryRun?: boolean;
  readonly compress?: boolean;
  readonly decompress?: boolean;
}

/**
 * `heddle migrate`: bring the tables of a storage up to date, and say from which version to which. Every server does it by
 * itself when it opens its storage; this is for those who want it done before, by another user of the database. `--compress` and
 * `--decompress` then rewrite checkpoints, beside servers that are at work; killed at any point, the same command goes on.
 * @returns the exit code: 0 when everything is up to date now, 2 when `--dry-run` found something to do, 1 for an error
 */
export async function migrate(flags: MigrateFlags): Promise<number> {
  let secrets: readonly string[] = [];
  try {
    const settings = await storageSettings(flags);
    secrets = settings.secrets;
    const target = targetOf(flags);
    let pending = 0;
    for (const part of storageParts(settings)) {
      pending += await migrateOne(part, flags.dryRun === true);
      if (target !== null && part.parts !== "storage") await recompress(part, target, settings);
    }
    if (flags.dryRun !== true) return 0;
    const found = pending === 0 ? "nothing is pending" : `${count(pending)} pending, nothing was changed`;
    printLines([`dry run: ${found}`]);
    return pending === 0 ? 0 : PENDING;
  } catch (error) {
    printError(error, secrets);
    return 1;
  }
}

/** @returns how many migrations were, or are, pending */
async function migrateOne(part: StoragePart, isDryRun: boolean): Promise<number> {
  const { inspectSchema, upgradeSchema } = await import("../../maintenance/schema-versions.js");
  const before = await inspectSchema(part);
  const pending = before.components.reduce((sum, { stored, latest }) => sum + Math.max(0, latest - stored), 0);
  printLines([pc.bold(redactUri(part.uri)), ...versionLines(before)]);
  if (isDryRun) return pending;
  // Also when nothing is pending: a database of a newer Heddle is an error that this reports.
  await upgradeSchema(part);
  if (pending > 0) printLines([`  ${pc.green("applied")} ${count(pending)}`]);
  return pending;
}

function targetOf({ compress, decompress, dryRun }: MigrateFlags): CompressionTarget | null {
  if (compress === true && decompress === true) throw usage("--compress and --decompress exclude one another.");
  if (compress !== true && decompress !== true) return null;
  if (dryRun === true) throw usage("--dry-run counts migrations alone: leave --compress and --decompress out.");
  return compress === true ? "compressed" : "stock";
}

function usage(message: string): HeddleError {
  return new HeddleError("CONFIG_INVALID", { message: `migrate: ${message}` });
}

async function recompress(part: StoragePart, target: CompressionTarget, settings: StorageSettings): Promise<void> {
  const [{ recompressStorage }, { lenientCipher }] = await Promise.all([
    import("../../maintenance/recompress.js"),
    import("../../maintenance/open-cipher.js"),
  ]);
  const cipher = await lenientCipher(settings.encryption);
  const progress = createProgress(process.stdout);
  const context = { ...part.context, ...(cipher !== undefined && { cipher }) };
  const counts = await recompressStorage({
    uri: part.uri,
    context,
    target,
    onProgress: (name, done) => progress.update(name, done, null),
  });
  progress.end();
  const [isStock, done] = [target === "stock", counts.values + counts.writes];
  const what = `${counts.values} values and ${counts.writes} pending writes`;
  printLines([
    done === 0 ? `  all checkpoints are ${target}` : `  ${pc.green(isStock ? "decompressed" : "compressed")} ${what}`,
  ]);
}

function versionLines({ components }: SchemaVersions): readonly string[] {
  if (components.length === 0) return ["  needs no migrations"];
  const width = Math.max(...components.map(({ name }) => name.length));
  return components.map(({ name, stored, latest }) => {
    const state = stored === latest ? `${stored}  ${pc.dim("up to date")}` : `${stored} → ${latest}`;
    return `  ${name.padEnd(width)}  ${state}`;
  });
}

function count(migrations: number): string {
  return migrations === 1 ? "1 migration" : `${migrations} migrations`;
}
