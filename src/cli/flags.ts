import { InvalidArgumentError, Option } from "commander";
import { parseLogLevel } from "../config/env.js";
import { type NamedProtocol, parseProtocol, PROTOCOL_TEXT_RULE } from "../config/protocol-text.js";
import { type CliFlags, type LogLevel, ROLES, type Role } from "../config/options.js";

/** What commander makes of the options of `serve` and `dev`. */
export interface ParsedFlags {
  readonly config?: string;
  readonly host?: string;
  readonly port?: number;
  readonly storage?: string;
  readonly checkpointer?: string;
  readonly workers?: number;
  readonly protocol?: readonly NamedProtocol[];
  readonly role?: Role;
  readonly nJobsPerWorker?: number;
  readonly logLevel?: LogLevel;
}

const config = () =>
  new Option("-c, --config <path>", "langgraph.json, or the folder that has it (default: langgraph.json)");
const storage = () =>
  new Option(
    "--storage <uri>",
    "postgres://…, mongodb://…, sqlite:<file> or memory: (default: sqlite:.heddle/heddle.db beside langgraph.json)",
  );
const checkpointer = () =>
  new Option("--checkpointer <uri>", "where checkpoints are, when they are not in the storage");
const role = () => new Option("--role <role>", "serve requests, execute runs, or both (default: all)").choices(ROLES);
const workers = () =>
  new Option("--workers <count>", "runs executed at once by this process (default: 10)").argParser(
    wholeNumber(0, 10_000),
  );
const protocol = () =>
  new Option(
    "--protocol <name[@place]>",
    "serve another protocol, too: state-store, openwop@/wop, openwop@:3001",
  ).argParser((text: string, before: readonly NamedProtocol[] | undefined) => {
    const parsed = parseProtocol(text);
    if (parsed === null) throw new InvalidArgumentError(`It ${PROTOCOL_TEXT_RULE}.`);
    return [...(before ?? []), parsed];
  });
const logLevel = () =>
  new Option("--log-level <level>", "debug, info, warn, error or silent (default: info)").argParser((text) => {
    const level = parseLogLevel(text);
    if (level === undefined) throw new InvalidArgumentError("It must be debug, info, warn, error or silent.");
    return level;
  });

/** Options of `heddle serve` and `heddle dev`. */
export function serveOptions(): readonly Option[] {
  return [
    config(),
    new Option("--host <host>", "address to listen on (default: 127.0.0.1)"),
    new Option("-p, --port <port>", "port to listen on, 0 for any (default: 2024)").argParser(wholeNumber(0, 65_535)),
    storage(),
    checkpointer(),
    workers(),
    new Option("--n-jobs-per-worker <count>", "the same as --workers")
      .argParser(wholeNumber(0, 10_000))
      .conflicts("workers"),
    role(),
    protocol(),
    logLevel(),
    new Option("--no-browser", "accepted for compatibility: heddle never opens a browser"),
  ];
}

/** Options of `heddle check`. */
export function checkOptions(): readonly Option[] {
  return [config(), storage(), checkpointer(), workers(), role(), protocol(), logLevel()];
}

/** Options of `heddle migrate`. */
export function migrateOptions(): readonly Option[] {
  return [
    config(),
    storage(),
    checkpointer(),
    new Option("--dry-run", "print what is pending and change nothing; exits with 2 when something is"),
    new Option("--compress", "then compress the checkpoints that are not (docs/guides/checkpoint-storage.md)"),
    new Option("--decompress", "then bring all checkpoints into their stock form, as other programs read it"),
  ];
}

/** Options of commands that work on the storage alone. */
export function storageOptions(): readonly Option[] {
  return [config(), storage()];
}

/** Options of `heddle doctor`. */
export function doctorOptions(): readonly Option[] {
  return [
    config(),
    storage(),
    checkpointer(),
    new Option("--redis <uri>", "redis://…, when event logs and notifications go there"),
  ];
}

/** Options of `heddle encrypt`. */
export function encryptOptions(): readonly Option[] {
  return [
    config(),
    storage(),
    checkpointer(),
    new Option("--verify", "open every value, also what is under the active key already; alone it changes nothing"),
    new Option("--rewrite", "bring every value under the active key, also those that were never encrypted"),
    new Option("--decrypt", "make every value clear again"),
    new Option("--dry-run", "count what would be rewritten and change nothing; exits with 2 when something would"),
  ];
}

/** Options of `heddle copy`. */
export function copyOptions(): readonly Option[] {
  return [
    new Option("--from <uri>", "storage to copy: postgres://…, mongodb://… or sqlite:<file>").makeOptionMandatory(),
    new Option("--to <uri>", "an empty storage, or the unfinished copy of the same source").makeOptionMandatory(),
    new Option("--from-checkpointer <uri>", "where the source's checkpoints are, when they are elsewhere"),
    new Option("--to-checkpointer <uri>", "where the target's checkpoints go, when they go elsewhere"),
  ];
}

/** Commander's values as settings; what was not given is left out. */
export function toCliFlags(parsed: ParsedFlags): CliFlags {
  const { config: path, host, port, storage: uri, logLevel: level } = parsed;
  const slots = parsed.workers ?? parsed.nJobsPerWorker;
  return {
    ...(path !== undefined && { config: path }),
    ...(host !== undefined && { host }),
    ...(port !== undefined && { port }),
    ...(uri !== undefined && { storage: uri }),
    ...(parsed.checkpointer !== undefined && { checkpointer: parsed.checkpointer }),
    ...(slots !== undefined && { workers: slots }),
    ...(parsed.protocol !== undefined && { protocols: parsed.protocol }),
    ...(parsed.role !== undefined && { role: parsed.role }),
    ...(level !== undefined && { logLevel: level }),
  };
}

function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  };
}
