import { announceUrl, populateEnv } from "../config/env.js";
import type { ResolvedConfig } from "../config/resolved-config.js";
import type { Logger } from "../core/logger.js";
import { type FetchServer, type Listener, listen, listenProtocols } from "../node/index.js";

/** An app that is served. */
export interface Session {
  /** With the base path. */
  readonly url: string;
  /** Where each protocol is, by name. */
  readonly protocols: Readonly<Record<string, string>>;
  /** Ids of the graphs that are served. */
  readonly graphs: readonly string[];
  /** Stop accepting, let runs end or hand them back, end streams, close everything. */
  close(): Promise<void>;
}

/** After runs have ended or been handed back, answers get this long to reach their readers. */
const ANSWER_GRACE_MS = 1_000;

/**
 * Listen, then open an app: a taken port is noticed before graphs are loaded, and graphs know the server's address while
 * they load. Requests that come early wait. What was opened before a failure is closed again.
 * @param params.watch reload graphs when their sources change, and serve although some fail to load
 * @throws HeddleError of the address, of graphs (not with `watch`), or of the storage
 */
export async function openSession(params: {
  readonly config: ResolvedConfig;
  readonly logger: Logger;
  readonly watch: boolean;
  /** Let Studio in (`x-auth-scheme: langsmith`), unless `auth` says otherwise. */
  readonly studio: boolean;
}): Promise<Session> {
  const { config, logger, watch, studio } = params;
  const opened = Promise.withResolvers<FetchServer>();
  opened.promise.catch(() => {});
  let server: FetchServer = { fetch: async (request, env) => (await opened.promise).fetch(request, env) };
  const limits = { maxMessageBytes: config.http.maxBodyBytes, ...connectionLimits(config) };
  const listener: Listener = await listen(
    { fetch: (request, env) => server.fetch(request, env) },
    { ...config.listen, ...limits },
  );
  const url = `${listener.url}${config.http.basePath}`;
  const forgetEnv = [populateEnv(config.graphEnv), announceUrl(url, listener.port)];
  let closeApp = (): Promise<void> => Promise.resolve();
  let others: Awaited<ReturnType<typeof listenProtocols>> | null = null;
  const close = async () => {
    listener.stopAccepting();
    others?.stopAccepting();
    await closeApp();
    await Promise.all([listener.close({ graceMs: ANSWER_GRACE_MS }), others?.close({ graceMs: ANSWER_GRACE_MS })]);
    for (const forget of forgetEnv) forget();
  };
  try {
    const { openApp } = await import("../app.js");
    const app = await openApp(
      { ...config, apiUrl: config.apiUrl ?? url },
      { logger, watch, studio, allowGraphFailures: watch },
    );
    closeApp = () => app.close();
    others = await listenProtocols(app, { host: config.listen.host, ...limits });
    await app.start();
    server = app;
    opened.resolve(app);
    const failed = new Set(app.graphFailures.map(({ graphId }) => graphId));
    for (const { graphId, error } of app.graphFailures) logger.error({ graphId }, error.message);
    for (const error of app.uiFailures) logger.error({}, error.message);
    const protocols = Object.entries(app.protocols).map(([name, { path }]) => [
      name,
      others?.protocols[name]?.url ?? listener.url + path,
    ]);
    return {
      url,
      protocols: Object.fromEntries(protocols) as Record<string, string>,
      graphs: Object.keys(config.graphs).filter((id) => !failed.has(id)),
      close,
    };
  } catch (error) {
    opened.reject(error);
    await close();
    throw error;
  }
}

/** The part of `limits` that a server keeps before an app sees a request. */
function connectionLimits({ limits }: ResolvedConfig) {
  const { headersTimeoutMs, requestTimeoutMs, stalledMs, maxHeaderBytes } = limits;
  return { headersTimeoutMs, requestTimeoutMs, stalledMs, ...(maxHeaderBytes !== null && { maxHeaderBytes }) };
}
