import type { AuditEntry, AuditLog } from "../core/audit.js";
import { HeddleError } from "../core/errors.js";
import type { Logger } from "../core/logger.js";
import { openAuditFile } from "./audit-file.js";

/** Where entries go: a file by its absolute path, or a function. */
export type AuditTarget = { readonly required: boolean } & (
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "function"; readonly write: (entry: AuditEntry) => void | Promise<void> }
);

/** Entries that may wait while the target is slow or away; beyond, the oldest are lost, which is logged. */
const MAX_WAITING = 10_000;

/**
 * Open an audit log. Entries that come while others are written go together in the next write, in order.
 * @throws HeddleError `CONFIG_INVALID` when the file can't be opened
 */
export async function openAudit(target: AuditTarget, logger: Logger): Promise<AuditLog> {
  const sink = await openSink(target);
  return new GatheredAuditLog(sink, target.required, logger);
}

interface Sink {
  /** Takes entries off the list as they are written: what is left after a failure is to be tried again. */
  append(entries: AuditEntry[]): Promise<void>;
  close(): Promise<void>;
}

async function openSink(target: AuditTarget): Promise<Sink> {
  if (target.kind === "file") {
    try {
      const file = await openAuditFile(target.path);
      return {
        async append(entries) {
          await file.append(entries);
          entries.length = 0;
        },
        close: () => file.close(),
      };
    } catch (error) {
      throw new HeddleError("CONFIG_INVALID", {
        message: `audit: ${target.path} can't be written: ${error instanceof Error ? error.message : String(error)}`,
        cause: error,
      });
    }
  }
  const { write } = target;
  return {
    async append(entries) {
      let written = 0;
      try {
        for (const entry of entries) {
          await write(entry);
          written += 1;
        }
      } finally {
        entries.splice(0, written);
      }
    },
    close: async () => {},
  };
}

class GatheredAuditLog implements AuditLog {
  readonly #sink: Sink;
  readonly #isRequired: boolean;
  readonly #logger: Logger;
  #waiting: AuditEntry[] = [];
  #writing: Promise<void> | null = null;
  /** The last write failed; what it could not write waits. */
  #failure: unknown = null;
  #lost = 0;

  constructor(sink: Sink, isRequired: boolean, logger: Logger) {
    this.#sink = sink;
    this.#isRequired = isRequired;
    this.#logger = logger;
  }

  async write(entries: readonly AuditEntry[]): Promise<void> {
    if (entries.length === 0) return;
    this.#waiting.push(...entries);
    if (this.#waiting.length > MAX_WAITING)
      this.#lost += this.#waiting.splice(0, this.#waiting.length - MAX_WAITING).length;
    if (!this.#isRequired) {
      this.#writing ??= this.#flush();
      return;
    }
    await this.#flushed();
  }

  async ready(): Promise<void> {
    if (this.#isRequired && this.#failure !== null) await this.#flushed();
  }

  async close(): Promise<void> {
    await this.#flushed().catch(() => {});
    await this.#sink.close();
  }

  /** All that waits now is written. */
  async #flushed(): Promise<void> {
    // Entries that came while others were written go with the next write, which this one waits for as well.
    await this.#writing;
    this.#writing ??= this.#flush();
    await this.#writing;
    if (this.#failure !== null && this.#isRequired) {
      throw new HeddleError("STORAGE_UNAVAILABLE", {
        message: "The audit log can't be written, and it is required.",
        cause: this.#failure,
      });
    }
  }

  /** Never rejects. */
  async #flush(): Promise<void> {
    // What comes in the same turn goes along.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const entries = this.#waiting;
      this.#waiting = [];
      try {
        await this.#sink.append(entries);
        if (this.#lost > 0) this.#logger.warn({ lost: this.#lost }, "entries of the audit log were lost");
        if (this.#failure !== null) this.#logger.info({ lost: this.#lost }, "the audit log is written again");
        this.#failure = null;
        this.#lost = 0;
      } catch (error) {
        if (this.#failure === null) this.#logger.error({ err: error }, "the audit log could not be written");
        this.#failure = error;
        this.#waiting.unshift(...entries);
        break;
      }
    }
    this.#writing = null;
  }
}
