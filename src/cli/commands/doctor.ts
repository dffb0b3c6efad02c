import pc from "picocolors";
import { redactText, redactUri } from "../../config/redact.js";
import type { Finding } from "../../maintenance/findings.js";
import { printError, printLines } from "../report.js";
import {
  type StorageFlags,
  type StoragePart,
  storageParts,
  type StorageSettings,
  storageSettings,
} from "../storage-settings.js";

type Part = Pick<StoragePart, "uri" | "context"> & Partial<Pick<StoragePart, "parts">> & { readonly title: string };

const MARKS = { ok: pc.green("ok"), warning: pc.yellow("warning"), problem: pc.red("problem") } as const;

/**
 * `heddle doctor`: connect to everything that a server would use here and say what is wrong, each with a way out. Changes
 * nothing.
 * @returns the exit code: 0 when a server would work (warnings are allowed), 1 when not
 */
export async function doctor(flags: StorageFlags): Promise<number> {
  let secrets: readonly string[] = [];
  try {
    const settings = await storageSettings(flags);
    secrets = settings.secrets;
    const { diagnose } = await import("../../maintenance/diagnose.js");
    const verdicts: Finding["verdict"][] = [];
    for (const { title, ...part } of partsOf(settings)) {
      printLines([`${pc.bold(title)}  ${redactUri(part.uri)}`]);
      for await (const finding of diagnose(part)) {
        verdicts.push(finding.verdict);
        printLines(findingLines(finding).map((line) => redactText(line, secrets)));
      }
    }
    const count = (verdict: Finding["verdict"]): number => verdicts.filter((one) => one === verdict).length;
    printLines([`${count("problem")} problems, ${count("warning")} warnings`]);
    return count("problem") === 0 ? 0 : 1;
  } catch (error) {
    printError(error, secrets);
    return 1;
  }
}

/** Redis has no tables. */
function partsOf(settings: StorageSettings): readonly Part[] {
  const { redis } = settings;
  const elsewhere = redis === null ? [] : [{ title: "redis", uri: redis, context: { cwd: process.cwd() } }];
  return [...storageParts(settings), ...elsewhere];
}

function findingLines({ check, verdict, detail, wayOut }: Finding): readonly string[] {
  const padding = " ".repeat(8 - verdict.length);
  const line = `  ${MARKS[verdict]}${padding} ${check.padEnd(14)} ${detail}`;
  return wayOut === undefined ? [line] : [line, `${" ".repeat(26)}${pc.dim("→")} ${wayOut}`];
}
