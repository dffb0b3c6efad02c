import type { Place } from "../core/cipher.js";
import { packingSealing } from "./packing.js";
import { ListValue, SEALED_TYPE, toSealed, toStored, type StoredValue } from "./postgres-blobs.js";
import { PLACES, type Sealing } from "./sealing.js";
import type { Encoded } from "./serde.js";
import { ContentSharing, type ChannelPlace, type PlannedValue } from "./sharing.js";

/** Makes of values what is stored of them: as the stock saver has them, or compressed and shared; sealed where that is on. */
export class PostgresValues {
  readonly sharing: ContentSharing;
  /** Of what shares nothing: packs and seals. */
  readonly sealing: Sealing;
  /** Values are stored as the stock saver does. */
  readonly areStock: boolean;
  readonly #seals: Sealing;
  readonly #compress: boolean;

  /** @param options.compress false: what was compressed is read all the same */
  constructor(sealing: Sealing, options: { readonly compress: boolean }) {
    this.#seals = sealing;
    this.#compress = options.compress;
    this.areStock = !options.compress && !sealing.enabled;
    this.sealing = packingSealing(sealing, options.compress);
    this.sharing = new ContentSharing({ secret: sealing.enabled });
  }

  /**
   * @param stored what tells values of the channel apart
   * @returns a promise only for large ones
   */
  prepare(place: ChannelPlace, stored: string, data: Encoded): StoredValue | Promise<StoredValue> {
    if (this.areStock && typeof data === "object" && !(data instanceof Uint8Array)) return new ListValue(data);
    if (!this.#compress) return toSealed(this.sealing, data, placeOf(place, stored));
    const planned = this.sharing.plan(place, data);
    if (planned instanceof Promise) return planned.then((value) => this.#sealed(this.sharing, place, stored, value));
    return this.#sealed(this.sharing, place, stored, planned);
  }

  /** {@link prepare} for a series of values that share with nothing before it. What is sealed shares nothing: its contents are never equal. */
  starting(): (place: ChannelPlace, stored: string, data: Encoded) => StoredValue {
    if (!this.#compress || this.#seals.enabled) {
      return (place, stored, data) => toSealed(this.sealing, data, placeOf(place, stored));
    }
    const sharing = new ContentSharing({ secret: false });
    return (place, stored, data) => this.#sealed(sharing, place, stored, sharing.planNow(place, data));
  }

  #sealed(sharing: ContentSharing, place: ChannelPlace, stored: string, planned: PlannedValue): StoredValue {
    const at = placeOf(place, stored);
    if (planned.kind === "own") return this.#seal(planned.data, at);
    const { content, data } = planned;
    return {
      ...this.#seal(planned.part, at),
      shared: {
        content,
        data: data === null ? null : this.#seal(data, PLACES.content(content)),
        whole: () => {
          sharing.forget(place);
          return this.#seal(planned.whole(), at);
        },
      },
    };
  }

  #seal(data: Encoded, place: Place): StoredValue {
    const value = toStored(this.#seals.seal(data, place));
    return this.#seals.enabled ? { ...value, type: SEALED_TYPE } : value;
  }
}

function placeOf({ threadId, checkpointNs, channel }: ChannelPlace, stored: string): Place {
  return PLACES.value(threadId, checkpointNs, channel, stored);
}
