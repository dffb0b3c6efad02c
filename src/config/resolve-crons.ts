import { z } from "zod";
import type { Manifest } from "./langgraph-json-schema.js";
import type { AppOptions } from "./options.js";
import type { SettingPicker } from "./setting-picker.js";

const MISSED_TICKS = ["skip", "once", "all"] as const;
type MissedTicks = (typeof MISSED_TICKS)[number];

/** What becomes of a cron's ticks that came while no process was there to start their runs. */
export interface CronsOptions {
  /**
   * `skip`: they are dropped, and the cron goes on with the next one. `once`: one run is started for all of them. `all`: one for each
   * of the latest `maxMissedTicks`, one after the other. A tick counts as missed a minute after its time. Default `skip`.
   */
  readonly missedTicks?: MissedTicks;
  /** Of one cron, with `all`. From 1 to 10,000. Default 100. */
  readonly maxMissedTicks?: number;
}

export interface ResolvedCrons {
  readonly missedTicks: MissedTicks;
  readonly maxMissedTicks: number;
}

const missedTicks = z.enum(MISSED_TICKS).optional();
const maxMissedTicks = z.number().int().min(1).max(10_000).optional();

/** `crons` of `createApp`. */
export const cronsOptions = z.strictObject({ missedTicks, maxMissedTicks });

/** `crons` of `langgraph.json`, and of `HEDDLE_CRONS`. */
export const cronsSection = z.strictObject({ missed_ticks: missedTicks, max_missed_ticks: maxMissedTicks });

export function resolveCrons(params: {
  readonly pick: SettingPicker["pick"];
  readonly options: AppOptions;
  readonly manifest: Manifest;
}): ResolvedCrons {
  const { pick, options, manifest } = params;
  return {
    missedTicks: pick("crons.missedTicks", {
      option: options.crons?.missedTicks,
      "langgraph.json": manifest.crons?.missed_ticks,
      default: "skip",
    }),
    maxMissedTicks: pick("crons.maxMissedTicks", {
      option: options.crons?.maxMissedTicks,
      "langgraph.json": manifest.crons?.max_missed_ticks,
      default: 100,
    }),
  };
}
