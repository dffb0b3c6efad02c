import type { Encoded } from "./serde.js";
import { packingSealing } from "./packing.js";
import { PLACES, type Sealing } from "./sealing.js";
import { ContentSharing, type ChannelPlace, type PlannedValue } from "./sharing.js";
import { toCell, type Cell } from "./sqlite-rows.js";
import type { CheckpointStatements } from "./sqlite-statements.js";

/** A value that is ready to be stored. */
export interface PreparedValue {
  readonly place: ChannelPlace;
  /** The checkpoint that brings it. */
  readonly origin: string;
  readonly planned: PlannedValue;
  readonly cell: Cell;
  readonly contentCell: Cell | null;
}

/** Stores the values of channels: compressed, and sharing what they have in common, unless that is off; sealed where that is on. */
export class SqliteValues {
  readonly sharing: ContentSharing;
  /** Of values that share nothing: packs and seals. */
  readonly sealing: Sealing;
  readonly #sql: CheckpointStatements;
  readonly #seals: Sealing;
  readonly #compress: boolean;

  /** @param options.compress false: values are stored as they are; what was compressed is read all the same */
  constructor(sql: CheckpointStatements, sealing: Sealing, options: { readonly compress: boolean }) {
    this.#sql = sql;
    this.#seals = sealing;
    this.#compress = options.compress;
    this.sealing = packingSealing(sealing, options.compress);
    this.sharing = new ContentSharing({ secret: sealing.enabled });
  }

  /** Pack and seal a value, before the database is locked. A promise only for large ones. */
  prepare(place: ChannelPlace, origin: string, data: Encoded): PreparedValue | Promise<PreparedValue> {
    if (!this.#compress) return this.#own(place, origin, data);
    const planned = this.sharing.plan(place, data);
    if (planned instanceof Promise) return planned.then((value) => this.#sealed(place, origin, value));
    return this.#sealed(place, origin, planned);
  }

  /** {@link prepare} at once, inside a transaction. */
  prepareNow(place: ChannelPlace, origin: string, data: Encoded): PreparedValue {
    return this.#compress
      ? this.#sealed(place, origin, this.sharing.planNow(place, data))
      : this.#own(place, origin, data);
  }

  /** Inside a transaction. */
  store(lineage: number, value: PreparedValue): void {
    const { planned, place, origin } = value;
    if (planned.kind === "own") {
      this.#put(lineage, value, value.cell, null);
      return;
    }
    if (value.contentCell !== null) this.#sql.putContent.run(planned.content, value.contentCell);
    else if (this.#sql.content.get(planned.content) === undefined) {
      // Its thread was deleted meanwhile, maybe by another process.
      this.sharing.forget(place);
      const cell = toCell(this.#seals.seal(planned.whole(), placeOf(place, origin)));
      this.#put(lineage, value, cell, null);
      return;
    }
    this.#put(lineage, value, value.cell, planned.content);
  }

  #put(lineage: number, { place, origin }: PreparedValue, cell: Cell, content: string | null): void {
    this.#sql.putBlob.run(lineage, origin, place.channel, cell, content);
  }

  #own(place: ChannelPlace, origin: string, data: Encoded): PreparedValue {
    const cell = toCell(this.sealing.seal(data, placeOf(place, origin)));
    return { place, origin, planned: { kind: "own", data }, cell, contentCell: null };
  }

  #sealed(place: ChannelPlace, origin: string, planned: PlannedValue): PreparedValue {
    const stored = planned.kind === "own" ? planned.data : planned.part;
    const content = planned.kind === "own" ? null : planned.data;
    return {
      place,
      origin,
      planned,
      cell: toCell(this.#seals.seal(stored, placeOf(place, origin))),
      contentCell:
        planned.kind === "own" || content === null
          ? null
          : toCell(this.#seals.seal(content, PLACES.content(planned.content))),
    };
  }
}

function placeOf({ threadId, checkpointNs, channel }: ChannelPlace, origin: string): ReturnType<typeof PLACES.value> {
  return PLACES.value(threadId, checkpointNs, channel, origin);
}
