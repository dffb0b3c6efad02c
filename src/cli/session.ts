import { announceUrl, populateEnv } from "../config/env.js";
import type { ResolvedConfig } from "../config/resolved-config.js";
import type { Logger } from "../core/logger.js";
import { type Listener, listen } from "../node/index.js";

/** An app that is served. */
export interface Session {
  readonly config: ResolvedConfig;
  readonly url: string;
  /** Ids of the graphs that are served. */
  readonly graphs: readonly string[];
  /** Stop accepting, let runs end or hand them back, end streams, close everything. */
  close(): Promise<void>;
}

/** After runs have ended or been handed back, answers get this long to reach their readers. */
const ANSWER_GRACE_MS = 1_000;

/**
 * Open an app and serve it. What was opened before a failure is closed again.
 * @param params.watch reload graphs when their sources change, and serve although some fail to load
 * @throws HeddleError of the configuration, of graphs (not with `watch`), storage or address
 */
export async function openSession(params: {
  readonly config: ResolvedConfig;
  readonly logger: Logger;
  readonly watch: boolean;
}): Promise<Session> {
  const { config, logger, watch } = params;
  const { openApp } = await import("../app.js");
  const forgetEnv = populateEnv(config.graphEnv);
  let app: Awaited<ReturnType<typeof openApp>> | undefined;
  let listener: Listener | undefined;
  const close = async () => {
    listener?.stopAccepting();
    await app?.close();
    await listener?.close({ graceMs: ANSWER_GRACE_MS });
    forgetEnv();
  };
  try {
    app = await openApp(config, { logger, watch, allowGraphFailures: watch });
    listener = await listen(app, config.listen);
    announceUrl(`${listener.url}${config.http.basePath}`, listener.port);
    await app.start();
  } catch (error) {
    await close();
    throw error;
  }
  const failed = new Set(app.graphFailures.map(({ graphId }) => graphId));
  for (const { graphId, error } of app.graphFailures) logger.error({ graphId }, error.message);
  return { config, url: listener.url, graphs: Object.keys(config.graphs).filter((id) => !failed.has(id)), close };
}
