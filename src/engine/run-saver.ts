import type { RunnableConfig } from "@langchain/core/runnables";
import {
  BaseCheckpointSaver,
  INTERRUPT,
  type ChannelVersions,
  type Checkpoint,
  type CheckpointListOptions,
  type CheckpointMetadata,
  type CheckpointTuple,
  type PendingWrite,
} from "@langchain/langgraph-checkpoint";
import { HeddleError } from "../core/errors.js";
import type { JsonObject } from "../core/json.js";

/**
 * The saver as one run or one state update sees it: adds metadata to every checkpoint (LangGraph's own has `source`,
 * `step` and `parents` only; docs/wire/langgraph-api.md §3.7), notices interrupts, and refuses writes once the run has
 * ended, so that a node that ignored its abort signal cannot change the thread later.
 */
export class RunSaver extends BaseCheckpointSaver {
  /** True once a task of this run, at whatever depth, has stored an interrupt. */
  interrupted = false;
  readonly #saver: BaseCheckpointSaver;
  readonly #metadata: JsonObject;
  #sealed = false;

  constructor(saver: BaseCheckpointSaver, metadata: JsonObject) {
    super(saver.serde);
    this.#saver = saver;
    this.#metadata = metadata;
  }

  /** From here on every write is refused. */
  seal(): void {
    this.#sealed = true;
  }

  #assertOpen(): void {
    if (this.#sealed) throw new HeddleError("LEASE_LOST", { message: "The run has already ended." });
  }

  override async put(
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    newVersions: ChannelVersions,
  ): Promise<RunnableConfig> {
    this.#assertOpen();
    return this.#saver.put(config, checkpoint, { ...this.#metadata, ...metadata }, newVersions);
  }

  override async putWrites(
    config: RunnableConfig,
    writes: PendingWrite[],
    taskId: string,
    taskPath?: string,
  ): Promise<void> {
    this.#assertOpen();
    if (writes.some(([channel]) => channel === INTERRUPT)) this.interrupted = true;
    return this.#saver.putWrites(config, writes, taskId, taskPath);
  }

  override getTuple(config: RunnableConfig): Promise<CheckpointTuple | undefined> {
    return this.#saver.getTuple(config);
  }

  override list(config: RunnableConfig, options?: CheckpointListOptions): AsyncGenerator<CheckpointTuple> {
    return this.#saver.list(config, options);
  }

  override async deleteThread(threadId: string): Promise<void> {
    this.#assertOpen();
    return this.#saver.deleteThread(threadId);
  }

  override getNextVersion(current: number | undefined): number {
    return this.#saver.getNextVersion(current) as number;
  }

  override getDeltaChannelHistory(
    options: Parameters<BaseCheckpointSaver["getDeltaChannelHistory"]>[0],
  ): ReturnType<BaseCheckpointSaver["getDeltaChannelHistory"]> {
    return this.#saver.getDeltaChannelHistory(options);
  }
}
