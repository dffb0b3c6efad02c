import { z } from "zod";
import type { JsonText } from "../core/json.js";
import { decode } from "./decode.js";
import { toJsonText } from "./json.js";
import type { Query } from "./query.js";
import { queryBoolean } from "./schema.js";

/** What `/info` tells (docs/wire/langgraph-api.md §2.11). */
export interface ServerInfo {
  /** Heddle's version. */
  readonly version: string;
  /** Version of the @langchain/langgraph that runs the graphs. */
  readonly langgraphVersion: string;
  readonly flags: {
    /** A LangSmith key is set and tracing is not switched off. */
    readonly langsmith: boolean;
    readonly assistants: boolean;
    readonly crons: boolean;
  };
}

export function encodeInfo(info: ServerInfo): JsonText {
  const { assistants, crons, langsmith } = info.flags;
  return toJsonText({
    version: info.version,
    langgraph_js_version: info.langgraphVersion,
    context: "js",
    flags: { assistants, crons, langsmith, langsmith_tracing_replicas: true },
  });
}

export const okQuery = z.object({ check_db: queryBoolean }).partial();

export function decodeOk(query: Query) {
  return { checkStorage: decode(okQuery, query).check_db ?? false };
}
