import pc from "picocolors";

const BAR_WIDTH = 30;
/** A line at most this often where there is no terminal to redraw one. */
const LINE_EVERY_MS = 5_000;
const DRAW_EVERY_MS = 100;

/** Shows how far something long has come: a bar that is redrawn on a terminal, now and then a line elsewhere. */
export interface Progress {
  /** @param total `null` where nobody knows: then only the number is shown */
  update(label: string, done: number, total: number | null): void;
  /** Leave the last state standing. */
  end(): void;
}

/**
 * @param stream that is written to; a terminal or not
 * @param now in milliseconds
 */
export function createProgress(
  stream: Pick<NodeJS.WriteStream, "isTTY"> & { write(text: string): unknown },
  now: () => number = Date.now,
): Progress {
  const isTerminal = stream.isTTY;
  let last: { readonly label: string; readonly text: string } | null = null;
  let shownAt = -Infinity;
  let isShown = true;

  const show = (): void => {
    if (last === null || isShown) return;
    isShown = true;
    shownAt = now();
    stream.write(isTerminal ? `\r\u001B[2K${last.text}` : `${last.text}\n`);
  };
  const finish = (): void => {
    show();
    if (isTerminal && last !== null) stream.write("\n");
    last = null;
  };
  return {
    update(label, done, total) {
      if (last !== null && last.label !== label) finish();
      if (last === null) shownAt = isTerminal ? -Infinity : now();
      last = { label, text: textOf(label, done, total, isTerminal) };
      isShown = false;
      if (now() - shownAt >= (isTerminal ? DRAW_EVERY_MS : LINE_EVERY_MS)) show();
    },
    end: finish,
  };
}

function textOf(label: string, done: number, total: number | null, isTerminal: boolean): string {
  const name = label.padEnd(28);
  if (total === null) return `  ${name} ${done}`;
  if (!isTerminal) return `  ${name} ${done} of ${total}`;
  const share = total === 0 ? 1 : Math.min(1, done / total);
  const full = Math.round(share * BAR_WIDTH);
  const bar = pc.green("█".repeat(full)) + pc.dim("░".repeat(BAR_WIDTH - full));
  return `  ${name} ${bar} ${String(Math.floor(share * 100)).padStart(3)} %  ${done} of ${total}`;
}
