import pc from "picocolors";
import { redactUri } from "../../config/redact.js";
import type { Cipher } from "../../core/cipher.js";
import { HeddleError } from "../../core/errors.js";
import type { RewriteCount } from "../../maintenance/encrypt/cells.js";
import { createProgress } from "../progress.js";
import { printError, printLines } from "../report.js";
import { type StorageFlags, type StoragePart, storageParts, storageSettings } from "../storage-settings.js";

/** Exit code of `--dry-run` when something is to be done; 1 is an error. */
const PENDING = 2;

export interface EncryptFlags extends StorageFlags {
  readonly rewrite?: boolean;
  readonly decrypt?: boolean;
  readonly dryRun?: boolean;
}

/**
 * `heddle encrypt`: bring every stored value under the active key (`--rewrite`), or make all clear again (`--decrypt`). Servers may be
 * at work meanwhile; killed at any point, the same command goes on with what is left.
 * @returns the exit code: 0 when everything is as it should be, 2 when `--dry-run` found something to do, 1 for an error or values that
 * no key opens
 */
export async function encrypt(flags: EncryptFlags): Promise<number> {
  let secrets: readonly string[] = [];
  try {
    const isDryRun = flags.dryRun === true;
    if (flags.rewrite === true && flags.decrypt === true) throw usage("--rewrite and --decrypt exclude one another.");
    if (flags.rewrite !== true && flags.decrypt !== true && !isDryRun) {
      throw usage("Say what to do: --rewrite, --decrypt, or --dry-run to count.");
    }
    const settings = await storageSettings(flags);
    secrets = settings.secrets;
    const { lenientCipher } = await import("../../maintenance/open-cipher.js");
    const cipher = await lenientCipher(settings.encryption);
    if (cipher === undefined) {
      throw usage(
        "There are no keys: set HEDDLE_ENCRYPTION_KEY or HEDDLE_ENCRYPTION_KEY_FILE, or encryption.path of langgraph.json.",
      );
    }
    const target = flags.decrypt === true ? "clear" : "active";
    let [wanted, open, unreadable] = [0, 0, 0];
    for (const part of storageParts(settings)) {
      const counts = await rewritePart(part, { cipher, target, isDryRun });
      for (const count of counts) {
        wanted += count.wanted;
        open += count.wanted - count.rewritten;
        unreadable += count.unreadable;
      }
    }
    printLines([summary({ wanted, open, unreadable, isDryRun, goal: goalOf(target, cipher) })]);
    if (unreadable > 0) return 1;
    if (isDryRun) return wanted === 0 ? 0 : PENDING;
    return open === 0 ? 0 : 1;
  } catch (error) {
    printError(error, secrets);
    return 1;
  }
}

async function rewritePart(
  part: StoragePart,
  options: { readonly cipher: Cipher; readonly target: "active" | "clear"; readonly isDryRun: boolean },
): Promise<readonly RewriteCount[]> {
  const { rewriteStorage } = await import("../../maintenance/encrypt/rewrite-storage.js");
  printLines([pc.bold(redactUri(part.uri))]);
  const progress = createProgress(process.stdout);
  const { counts, left } = await rewriteStorage({
    ...part,
    ...options,
    onProgress: (name, done) => progress.update(name, done, null),
  });
  progress.end();
  printLines([...counts.flatMap(countLines), ...left.map((line) => `  ${line}`)]);
  return counts;
}

function countLines({ name, found, rewritten, unreadable, firstError }: RewriteCount): readonly string[] {
  const kinds = Object.entries(found).map(([keyId, count]) => `${count} ${keyId === "" ? "clear" : `under ${keyId}`}`);
  if (unreadable > 0) kinds.push(pc.red(`${unreadable} that no key opens`));
  if (kinds.length === 0) return [];
  const done = rewritten === 0 ? "" : `  ${pc.green(`${rewritten} rewritten`)}`;
  const line = `  ${name.padEnd(28)} ${kinds.join(", ")}${done}`;
  return firstError === null ? [line] : [line, `    ${firstError}`];
}

function goalOf(target: "active" | "clear", cipher: Cipher): string {
  return target === "clear" ? "clear" : `under the key "${cipher.activeKeyId}"`;
}

function summary(result: {
  readonly wanted: number;
  readonly open: number;
  readonly unreadable: number;
  readonly isDryRun: boolean;
  readonly goal: string;
}): string {
  const { wanted, open, unreadable, isDryRun, goal } = result;
  if (unreadable > 0) {
    return pc.red(
      `${unreadable} values cannot be decrypted with these keys. Add the key that they name, and run this again.`,
    );
  }
  if (isDryRun)
    return wanted === 0
      ? `dry run: everything is ${goal}`
      : `dry run: ${wanted} values would be rewritten, nothing was changed`;
  if (open > 0) return pc.red(`${open} values changed while they were rewritten. Run this again.`);
  return `${pc.green("done")}: everything is ${goal}; ${wanted} values were rewritten`;
}

function usage(message: string): HeddleError {
  return new HeddleError("CONFIG_INVALID", { message });
}
