import type { Clock } from "../../core/clock.js";
import type { JsonObject } from "../../core/json.js";
import type { RecordStore } from "../../core/record.js";
import type { FoundRun } from "./seams.js";
import type { InterruptFold } from "./snapshot-types.js";
import { tokenKey } from "./token-key.js";
import { readToken, signToken, TOKEN_LIVES_MS, type TokenClaims, type TokenIntent } from "./tokens.js";

/** Signed links to interrupts, and the interrupt of a waiting run's snapshot. */
export interface InterruptLinks {
  /**
   * The oldest interrupt that a run waits for, as its snapshot shows it; `undefined` for a run that waits for none.
   * @param linkPath what links begin with, before the token: `/openwop/v1/interrupts/`
   */
  snapshotInterrupt(found: FoundRun, linkPath: string): Promise<JsonObject | undefined>;
  /** What a link's token says; `null`: it is none of this server's. */
  read(token: string): Promise<TokenClaims | null>;
}

export function createInterruptLinks(deps: {
  readonly records: Pick<RecordStore, "get" | "write">;
  readonly clock: Pick<Clock, "now">;
}): InterruptLinks {
  let loading: Promise<Buffer> | null = null;
  /** Once; again when it failed. */
  const key = async (): Promise<Buffer> => {
    loading ??= tokenKey(deps.records);
    try {
      return await loading;
    } catch (error) {
      loading = null;
      throw error;
    }
  };

  const linkOf = async (found: FoundRun, interrupt: InterruptFold, intent: TokenIntent): Promise<string> => {
    const expiresAt = interrupt.expiresAt ?? deps.clock.now() + TOKEN_LIVES_MS;
    const { nodeId, interruptId } = interrupt;
    return signToken({ runId: found.record.runId, nodeId, interruptId, expiresAt, intent }, await key());
  };

  return {
    async snapshotInterrupt(found, linkPath) {
      const interrupt = found.fold.interrupts.find(({ status }) => status === "pending");
      if (interrupt === undefined || !found.fold.status.startsWith("waiting-")) return undefined;
      const { nodeId, interruptId, suspension } = interrupt;
      const shown = { nodeId, interruptId, ...suspension };
      // Decided only by whom the server knows: a link needs no bearer.
      if (suspension.data["authRequired"] === true) return shown;
      const token = await linkOf(found, interrupt, "resolve");
      const inspectToken = await linkOf(found, interrupt, "inspect");
      return { ...shown, interruptToken: token, callbackUrl: linkPath + token, inspectUrl: linkPath + inspectToken };
    },
    async read(token) {
      return readToken(token, await key());
    },
  };
}
