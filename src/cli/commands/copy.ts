import pc from "picocolors";
import { ALL_ROWS } from "../../core/auth.js";
import type { CopyResult, CopySide } from "../../maintenance/copy-storage.js";
import { lenientCipher } from "../../maintenance/open-cipher.js";
import { createProgress } from "../progress.js";
import { printError, printLines } from "../report.js";
import { storageSettings } from "../storage-settings.js";

export interface CopyFlags {
  readonly from: string;
  readonly to: string;
  readonly fromCheckpointer?: string;
  readonly toCheckpointer?: string;
}

/**
 * `heddle copy`: copy assistants, threads, runs, checkpoints and items into an empty storage of any kind, and compare the
 * checksums of both. Killed at any point, the same command goes on. Event logs are not copied: they live for minutes.
 * @returns the exit code: 0 when everything is there and equal, 1 when not
 */
export async function copy(flags: CopyFlags): Promise<number> {
  const closers: (() => Promise<void>)[] = [];
  try {
    const { openCopySide } = await import("../../maintenance/open-side.js");
    const { copyStorage } = await import("../../maintenance/copy-storage.js");
    const cipher = await lenientCipher((await storageSettings({})).encryption);
    const open = async (uri: string, checkpointerUri: string | undefined) => {
      const cwd = process.cwd();
      const side = await openCopySide({
        uri,
        cwd,
        ...(checkpointerUri !== undefined && { checkpointerUri }),
        ...(cipher !== undefined && { cipher }),
      });
      closers.push(() => side.close());
      return side;
    };
    const from = await open(flags.from, flags.fromCheckpointer);
    const to = await open(flags.to, flags.toCheckpointer);
    printLines([
      `${pc.bold("from")}  ${from.name}`,
      `${pc.bold("to")}    ${to.name}`,
      ...(cipher === undefined ? [] : [`The target is encrypted under the key "${cipher.activeKeyId}".`]),
      "Stop all servers on both before: what they write meanwhile is missed. Event logs are not copied.",
      "This may be interrupted at any time; the same command goes on.",
    ]);
    await warnOfRunningRuns(from);
    const progress = createProgress(process.stdout);
    const result = await copyStorage({
      from,
      to,
      onProgress: ({ step, stage, done, total }) =>
        progress.update(`${step === "copy" ? "copying" : "comparing"} ${stage}`, done, total),
    });
    progress.end();
    printLines(resultLines(result));
    return result.equal ? 0 : 1;
  } catch (error) {
    printError(error);
    return 1;
  } finally {
    for (const close of closers.toReversed()) await close().catch(printError);
  }
}

async function warnOfRunningRuns(from: CopySide): Promise<void> {
  const running = await from.store.metadata.runs.list({
    status: ["running"],
    limit: 1_000,
    offset: 0,
    access: ALL_ROWS,
  });
  if (running.length === 0) return;
  printLines([
    `${pc.yellow("warning:")} ${running.length} runs of the source are running: either a server is still at work, or one was ` +
      "killed. In the copy they wait, to go on from their last checkpoint.",
  ]);
}

function resultLines({ resumed, checksums, checkpoints, equal }: CopyResult): readonly string[] {
  const lines = checksums.map(({ stage, source, target }) => {
    const isEqual = source.rows === target.rows && source.digest === target.digest;
    const mark = isEqual ? pc.green("equal    ") : pc.red("different");
    const rows = source.rows === target.rows ? String(source.rows) : `${source.rows} and ${target.rows}`;
    const unit = stage === "checkpoints" ? " threads" : " rows";
    return `  ${mark}  ${stage.padEnd(17)}  ${rows}${unit}  ${source.digest.slice(0, 12)} ${target.digest.slice(0, 12)}`;
  });
  const end = equal
    ? `${pc.green("The copy is complete")}${resumed ? " (an earlier one was continued)" : ""}: all checksums agree; ${checkpoints} checkpoints were copied by this call.`
    : `${pc.red("The copy differs from its source.")} Something wrote to one of them. Stop all servers and start over with an empty target.`;
  return [pc.bold("checksums of source and target"), ...lines, end];
}
