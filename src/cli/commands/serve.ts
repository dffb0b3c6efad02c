import module from "node:module";
import type { CliFlags } from "../../config/options.js";
import { resolveConfig } from "../../config/resolve.js";
import type { ResolvedConfig } from "../../config/resolved-config.js";
import { createLogger, runUntilSignal } from "../../node/index.js";
import { shareLanggraph } from "../../node/share-langgraph.js";
import { watchFatalErrors } from "../fatal-errors.js";
import { logWarnings, printError, printStart } from "../report.js";
import { openSession } from "../session.js";

/**
 * `heddle serve`: serve until SIGINT or SIGTERM, then drain and stop; a second signal ends at once.
 * @returns the exit code: 0 after a signal, 1 when it could not start or a graph threw out of a callback
 */
export async function serve(flags: CliFlags): Promise<number> {
  let config: ResolvedConfig | undefined;
  try {
    shareLanggraph(flags.config);
    // The app's modules are read from disk while the configuration is.
    const appModules = import("../../app.js");
    appModules.catch(() => {});
    config = await resolveConfig({ flags });
    const logger = await createLogger(config.logging);
    logWarnings(config, logger);
    const session = await openSession({ config, logger, watch: false, studio: false });
    printStart({ config, logger, url: session.url, graphs: session.graphs, protocols: session.protocols });
    module.flushCompileCache();
    const errors = watchFatalErrors({ logger, surviveExceptions: false });
    const reason = await runUntilSignal({
      until: errors.fatal,
      async stop(signal) {
        logger.info({ signal }, "stopping: runs may end or are handed back; a second signal ends the process at once");
        await session.close();
      },
    });
    errors.stop();
    return reason === "ended" ? 1 : 0;
  } catch (error) {
    printError(error, config);
    return 1;
  }
}
