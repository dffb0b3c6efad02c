import pc from "picocolors";
import { secretsOf } from "../config/describe.js";
import { redactText, redactUri } from "../config/redact.js";
import type { ResolvedConfig } from "../config/resolved-config.js";
import { isHeddleError } from "../core/errors.js";
import type { Logger } from "../core/logger.js";
import { isForPeople, isLoopbackHost } from "../node/index.js";

/**
 * Say why a command ended, on standard error: the sentence of an error of ours, the stack of anything else.
 * @param secretsIn the configuration, or its secrets, when they are known by then
 */
export function printError(error: unknown, secretsIn: ResolvedConfig | readonly string[] = []): void {
  const text = isHeddleError(error)
    ? error.message
    : error instanceof Error
      ? (error.stack ?? error.message)
      : String(error);
  process.stderr.write(
    `${pc.red("heddle:")} ${redactText(text, "storage" in secretsIn ? secretsOf(secretsIn) : secretsIn)}\n`,
  );
}

/** Lines on standard output. */
export function printLines(lines: readonly string[]): void {
  process.stdout.write(lines.map((line) => `${line}\n`).join(""));
}

/** What is worth knowing before anything is served. */
export function logWarnings(config: ResolvedConfig, logger: Logger): void {
  for (const warning of config.warnings) logger.warn({}, warning);
  if (isLoopbackHost(config.listen.host) || config.auth !== null) return;
  logger.warn(
    { host: config.listen.host },
    "listening beyond this machine without authentication: whoever reaches the port can run graphs and read every thread",
  );
}

/** Where it listens, which graphs, which storage, and where the docs are: a block for people, else one log entry. */
export function printStart(params: {
  readonly config: ResolvedConfig;
  readonly logger: Logger;
  /** With the base path. */
  readonly url: string;
  /** Ids of the graphs that are served. */
  readonly graphs: readonly string[];
  /** Where each protocol is, by name. */
  readonly protocols: Readonly<Record<string, string>>;
}): void {
  const { config, logger, url, graphs, protocols } = params;
  const storage = redactUri(config.storage.uri);
  const docs = config.http.disabled.meta ? null : `${url}/docs`;
  if (!isForPeople(config.logging.format)) {
    const others = Object.keys(protocols).length === 0 ? {} : { protocols };
    logger.info({ url, graphs, storage, docs, ...others }, "listening");
    return;
  }
  const rows = [
    ["", pc.bold(`heddle ${pc.cyan(url)}`)],
    ["graphs", graphs.join(", ") || pc.red("none")],
    ["storage", storage],
    ...Object.entries(protocols).map(([name, place]) => [name, pc.cyan(place)]),
    ...(docs === null ? [] : [["docs", pc.cyan(docs)]]),
  ];
  const widest = Math.max(...rows.map(([name = ""]) => name.length)) + 1;
  const lines = rows.map(([name = "", value = ""]) =>
    name === "" ? `  ${value}` : `  ${pc.dim(name.padEnd(widest))}${value}`,
  );
  process.stdout.write(`\n${lines.join("\n")}\n\n`);
}
