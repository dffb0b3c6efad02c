import pc from "picocolors";
import { redactUri } from "../../config/redact.js";
import type { Cipher } from "../../core/cipher.js";
import { HeddleError } from "../../core/errors.js";
import type { RewriteCount } from "../../maintenance/encrypt/cells.js";
import type { RewriteOptions, RewriteResult } from "../../maintenance/encrypt/rewrite-storage.js";
import { createProgress } from "../progress.js";
import { printError, printLines } from "../report.js";
import { type StorageFlags, type StoragePart, storageParts, storageSettings } from "../storage-settings.js";

/** Exit code of `--dry-run` when something is to be done; 1 is an error. */
const PENDING = 2;
/** Everything that can be is as it should be; something stays that this command cannot encrypt. */
const INCOMPLETE = 3;

export interface EncryptFlags extends StorageFlags {
  readonly rewrite?: boolean;
  readonly decrypt?: boolean;
  readonly dryRun?: boolean;
  readonly verify?: boolean;
}

/**
 * `heddle encrypt`: bring every stored value under the active key (`--rewrite`), or make all clear again (`--decrypt`). Servers may be
 * at work meanwhile; killed at any point, the same command goes on with what is left.
 * @returns the exit code: 0 when everything is as it should be, 2 when `--dry-run` found something to do, 3 when all that is left is
 * what cannot be encrypted, 1 for an error or values that no key opens
 */
export async function encrypt(flags: EncryptFlags): Promise<number> {
  let secrets: readonly string[] = [];
  try {
    const verifies = flags.verify === true;
    const isDryRun = flags.dryRun === true || (verifies && flags.rewrite !== true && flags.decrypt !== true);
    if (flags.rewrite === true && flags.decrypt === true) throw usage("--rewrite and --decrypt exclude one another.");
    if (flags.rewrite !== true && flags.decrypt !== true && !isDryRun) {
      throw usage("Say what to do: --rewrite, --decrypt, --dry-run to count, or --verify to open everything.");
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
    let [wanted, open, unreadable, stuck] = [0, 0, 0, 0];
    let isFinished = true;
    for (const part of storageParts(settings)) {
      const { counts, unfinished } = await rewritePart(part, { cipher, target, isDryRun, verifies });
      if (unfinished !== null) isFinished = false;
      for (const count of counts) {
        stuck += target === "active" ? count.foreign + count.refused : count.refused;
        wanted += count.wanted;
        open += count.wanted - count.rewritten;
        unreadable += count.unreadable;
      }
    }
    printLines([summary({ wanted, open, unreadable, stuck, isDryRun, goal: goalOf(target, cipher) })]);
    if (unreadable > 0 || !isFinished) return 1;
    if (isDryRun && wanted > 0) return PENDING;
    if (!isDryRun && open > 0) return 1;
    return stuck === 0 ? 0 : INCOMPLETE;
  } catch (error) {
    printError(error, secrets);
    return 1;
  }
}

async function rewritePart(
  part: StoragePart,
  options: Pick<RewriteOptions, "cipher" | "target" | "isDryRun" | "verifies">,
): Promise<RewriteResult> {
  const { rewriteStorage } = await import("../../maintenance/encrypt/rewrite-storage.js");
  printLines([pc.bold(redactUri(part.uri))]);
  const progress = createProgress(process.stdout);
  const result = await rewriteStorage({
    ...part,
    ...options,
    onProgress: (name, done) => progress.update(name, done, null),
  });
  progress.end();
  const { counts, left, unfinished } = result;
  printLines([...counts.flatMap(countLines), ...left.map((line) => `  ${line}`)]);
  if (unfinished !== null) printLines([pc.red(`  ${unfinished}`)]);
  return result;
}

function countLines(table: RewriteCount): readonly string[] {
  const { name, found, rewritten, unreadable, firstError, foreign, refused, refusedNames } = table;
  const kinds = Object.entries(found).map(([keyId, count]) => `${count} ${keyId === "" ? "clear" : `under ${keyId}`}`);
  if (unreadable > 0) kinds.push(pc.red(`${unreadable} that no key opens`));
  if (foreign > 0) kinds.push(pc.yellow(`${foreign} that LangGraph for Python wrote, which stay clear`));
  if (refused > 0)
    kinds.push(pc.yellow(`${refused} too large for this database once encrypted, which stay as they are`));
  if (kinds.length === 0) return [];
  const done = rewritten === 0 ? "" : `  ${pc.green(`${rewritten} rewritten`)}`;
  const line = `  ${name.padEnd(28)} ${kinds.join(", ")}${done}`;
  const more = refused > refusedNames.length ? [`    … and ${refused - refusedNames.length} more`] : [];
  const names = [...refusedNames.map((each) => `    ${each}`), ...more];
  return firstError === null ? [line, ...names] : [line, `    ${firstError}`, ...names];
}

function goalOf(target: "active" | "clear", cipher: Cipher): string {
  return target === "clear" ? "clear" : `under the key "${cipher.activeKeyId}"`;
}

function summary(result: {
  readonly wanted: number;
  readonly open: number;
  readonly unreadable: number;
  readonly stuck: number;
  readonly isDryRun: boolean;
  readonly goal: string;
}): string {
  const { wanted, open, unreadable, stuck, isDryRun, goal } = result;
  const but = stuck === 0 ? "" : pc.yellow(`, but for ${stuck} values that can't be`);
  if (unreadable > 0) {
    return pc.red(
      `${unreadable} values cannot be decrypted with these keys. Add the key that they name, and run this again.`,
    );
  }
  if (isDryRun)
    return wanted === 0
      ? `dry run: everything is ${goal}${but}`
      : `dry run: ${wanted} values would be rewritten, nothing was changed`;
  if (open > 0) return pc.red(`${open} values changed while they were rewritten. Run this again.`);
  return `${pc.green("done")}: everything is ${goal}${but}; ${wanted} values were rewritten`;
}

function usage(message: string): HeddleError {
  return new HeddleError("CONFIG_INVALID", { message });
}
