import type { CliFlags } from "../../config/options.js";
import { resolveConfig } from "../../config/resolve.js";
import type { ResolvedConfig } from "../../config/resolved-config.js";
import type { Logger } from "../../core/logger.js";
import { createLogger, isLoopbackHost, runUntilSignal } from "../../node/index.js";
import { shareLanggraph } from "../../node/share-langgraph.js";
import { processEnvironment } from "../../config/env.js";
import { watchFatalErrors } from "../fatal-errors.js";
import { logWarnings, printError, printStart } from "../report.js";
import { openSession, type Session } from "../session.js";
import { watchFiles } from "../watch-files.js";

/**
 * `heddle dev`: serve, reload graphs when their sources change, and open everything anew when `langgraph.json` or its env
 * file does. Graphs that fail to load are named and retried at the next change; a configuration that is wrong leaves what
 * is served as it is.
 * @returns the exit code: 0 after a signal, 1 when it could not start
 */
export async function dev(flags: CliFlags, options: { readonly reload: boolean }): Promise<number> {
  let config: ResolvedConfig | undefined;
  try {
    shareLanggraph(flags.config);
    // Graphs may change the environment: each new start reads what this process was given.
    const env = { ...processEnvironment() };
    const resolve = () => resolveConfig({ flags, options: { env } });
    config = await resolve();
    const logger = await createLogger(config.logging);
    const errors = watchFatalErrors({ logger, surviveExceptions: true });
    const reloader = await createReloader({ first: config, resolve, logger, watch: options.reload });
    await runUntilSignal({
      async stop(signal) {
        logger.info({ signal }, "stopping; a second signal ends the process at once");
        await reloader.close();
      },
    });
    errors.stop();
    return 0;
  } catch (error) {
    printError(error, config);
    return 1;
  }
}

/** Serves, and starts over on a change of `langgraph.json` or its env file; one start at a time, none is lost. */
async function createReloader(params: {
  readonly first: ResolvedConfig;
  readonly resolve: () => Promise<ResolvedConfig>;
  readonly logger: Logger;
  readonly watch: boolean;
}): Promise<{ close(): Promise<void> }> {
  const { resolve, logger, watch } = params;
  let session: Session | null = null;
  let watcher: { close(): void } | null = null;
  let working: Promise<void> = Promise.resolve();
  let closed = false;

  const open = async (config: ResolvedConfig) => {
    logWarnings(config, logger);
    // Any client can send Studio's header: it opens the server to this machine alone.
    session = await openSession({ config, logger, watch, studio: isLoopbackHost(config.listen.host) });
    printStart({ config, logger, url: session.url, graphs: session.graphs, protocols: session.protocols });
  };
  const follow = (config: ResolvedConfig) => {
    watcher?.close();
    const files = [config.manifestPath, config.envFilePath].filter((path) => path !== null);
    watcher = watchFiles(files, () => {
      working = working.then(restart);
    });
  };
  const restart = async () => {
    if (closed) return;
    try {
      const config = await resolve();
      logger.info({}, "configuration changed, starting again");
      follow(config);
      await session?.close();
      session = null;
      await open(config);
    } catch (error) {
      printError(error);
      logger.warn({}, session === null ? "nothing is served until this is mended" : "the former configuration stays");
    }
  };

  await open(params.first);
  if (watch) follow(params.first);
  return {
    async close() {
      closed = true;
      watcher?.close();
      await working;
      await session?.close();
    },
  };
}
