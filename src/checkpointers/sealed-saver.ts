import type { RunnableConfig } from "@langchain/core/runnables";
import {
  BaseCheckpointSaver,
  type ChannelVersions,
  type Checkpoint,
  type CheckpointListOptions,
  type CheckpointMetadata,
  type CheckpointPendingWrite,
  type CheckpointTuple,
  type PendingWrite,
} from "@langchain/langgraph-checkpoint";
import { admitClear, type Cipher, type Place, sealedTextOf, sealJson } from "../core/cipher.js";
import { asJsonText, isJsonObject, type JsonValue } from "../core/json.js";
import { versionCounter } from "./postgres-aliases.js";
import { putKey, writesKey } from "./saver-config.js";
import { PLACES, sealingWith, type Sealing } from "./sealing.js";
import { CheckpointSerde } from "./serde.js";
import { setOwn } from "./stored-checkpoint.js";

/**
 * Any saver, with every channel's value and every write sealed before it gets them, as `{"$heddle": "…"}`: for savers of others
 * (`RedisSaver`, a user's own). They keep JSON, so that values which theirs would not bring back as they were are, here. Their
 * interface shows no index of a write: two writes of one task to one channel are told apart by nothing.
 */
export class SealedSaver extends BaseCheckpointSaver {
  declare serde: CheckpointSerde;
  readonly #saver: BaseCheckpointSaver;
  readonly #cipher: Cipher;
  readonly #sealing: Sealing;

  constructor(saver: BaseCheckpointSaver, cipher: Cipher) {
    super(new CheckpointSerde());
    this.#saver = saver;
    this.#cipher = cipher;
    this.#sealing = sealingWith(cipher);
  }

  override getNextVersion(current: number | undefined): number {
    return this.#saver.getNextVersion(current);
  }

  override async getTuple(config: RunnableConfig): Promise<CheckpointTuple | undefined> {
    const tuple = await this.#saver.getTuple(config);
    return tuple && this.#opened(tuple);
  }

  override async *list(config: RunnableConfig, options?: CheckpointListOptions): AsyncGenerator<CheckpointTuple> {
    for await (const tuple of this.#saver.list(config, options)) yield await this.#opened(tuple);
  }

  override async put(
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    newVersions: ChannelVersions,
  ): Promise<RunnableConfig> {
    const { threadId, checkpointNs } = putKey(config);
    const values: Record<string, unknown> = {};
    for (const [channel, value] of Object.entries(checkpoint.channel_values ?? {})) {
      const place = valuePlace(threadId, checkpointNs, checkpoint, channel);
      setOwn(values, channel, this.#seal(value, place));
    }
    const stored = this.#sealing.sealMetadata(
      metadata,
      Object.keys(config.configurable ?? {}),
      PLACES.metadata(threadId, checkpointNs, checkpoint.id),
    );
    return this.#saver.put(config, { ...checkpoint, channel_values: values }, stored, newVersions);
  }

  override async putWrites(
    config: RunnableConfig,
    writes: PendingWrite[],
    taskId: string,
    taskPath?: string,
  ): Promise<void> {
    const { threadId, checkpointNs, checkpointId } = writesKey(config);
    const sealed = writes.map(([channel, value]): PendingWrite => {
      return [channel, this.#seal(value, PLACES.write(threadId, checkpointNs, checkpointId, taskId, channel))];
    });
    // A fourth parameter that only some savers have.
    const saver: { putWrites(...parameters: unknown[]): Promise<void> } = this.#saver;
    await saver.putWrites(config, sealed, taskId, ...(taskPath === undefined ? [] : [taskPath]));
  }

  override async deleteThread(threadId: string): Promise<void> {
    await this.#saver.deleteThread(threadId);
  }

  #seal(value: unknown, place: Place): JsonValue {
    return sealJson(this.#cipher, [this.serde.encodeText(value)], place);
  }

  async #open(value: unknown, place: Place): Promise<unknown> {
    const sealed = isJsonObject(value) ? sealedTextOf(value) : null;
    if (sealed === null) return admitClear(this.#cipher, place, value);
    const [text] = JSON.parse(this.#cipher.openText(sealed, place)) as [string];
    return this.serde.decode(asJsonText(text));
  }

  async #opened(tuple: CheckpointTuple): Promise<CheckpointTuple> {
    const { checkpoint, config, metadata, pendingWrites = [] } = tuple;
    const { threadId, checkpointNs } = putKey(config);
    const values: Record<string, unknown> = {};
    for (const [channel, value] of Object.entries(checkpoint.channel_values)) {
      setOwn(values, channel, await this.#open(value, valuePlace(threadId, checkpointNs, checkpoint, channel)));
    }
    const writes: CheckpointPendingWrite[] = [];
    for (const [taskId, channel, value] of pendingWrites) {
      const place = PLACES.write(threadId, checkpointNs, checkpoint.id, taskId, channel);
      writes.push([taskId, channel, await this.#open(value, place)]);
    }
    const place = PLACES.metadata(threadId, checkpointNs, checkpoint.id);
    return {
      ...tuple,
      checkpoint: { ...checkpoint, channel_values: values },
      ...(metadata !== undefined && { metadata: this.#sealing.openMetadata(metadata, place).metadata }),
      pendingWrites: writes,
    };
  }
}

function valuePlace(threadId: string, checkpointNs: string, checkpoint: Checkpoint, channel: string): Place {
  const versions = checkpoint.channel_versions ?? {};
  const version = Object.hasOwn(versions, channel) ? versions[channel] : undefined;
  return PLACES.value(threadId, checkpointNs, channel, version === undefined ? "" : versionCounter(version));
}
