import type { RunnableConfig } from "@langchain/core/runnables";
import {
  BaseCheckpointSaver,
  ERROR,
  INTERRUPT,
  WRITES_IDX_MAP,
  type ChannelVersions,
  type Checkpoint,
  type CheckpointListOptions,
  type CheckpointMetadata,
  type CheckpointTuple,
  type PendingWrite,
} from "@langchain/langgraph-checkpoint";
import { HeddleError } from "../../core/errors.js";
import type { JsonObject } from "../../core/json.js";
import { WriteBehind } from "./write-behind.js";

/** Marks a failed task whose error a handler node takes over (langgraph 1.7.3, `constants.js`). */
const ERROR_SOURCE_NODE = "__error_source_node__";

/**
 * The saver as one run or one state update sees it: adds metadata to every checkpoint (LangGraph's own has `source`,
 * `step` and `parents` only; docs/wire/langgraph-api.md §3.7), notices interrupts, and refuses writes once the run has
 * ended, so that a node that ignored its abort signal cannot change the thread later.
 */
export class RunSaver extends BaseCheckpointSaver {
  /** True once a task of this run, at whatever depth, has stored an interrupt. */
  interrupted = false;
  /** The run was told to stop: what its tasks throw from here on is no error of theirs. */
  stopping = false;
  readonly #saver: BaseCheckpointSaver;
  readonly #metadata: JsonObject;
  readonly #holdsLease: (() => Promise<boolean>) | undefined;
  /** `null`: whoever writes waits until it is stored. */
  readonly #behind: WriteBehind | null;
  readonly #onCheckpoint: ((checkpointId: string) => Promise<void>) | undefined;
  /** Interrupts that are being stored, where nothing is {@link RunSaver.#behind}. */
  readonly #questions: Promise<unknown>[] = [];
  #check: Promise<boolean> | null = null;
  #sealed = false;

  /**
   * @param options.holdsLease asked right before each write, for savers that cannot check the lease themselves
   * (core `Checkpointer.fenced`). What it leaves open: a worker that loses its lease after the answer and before the write
   * has arrived still writes, once.
   * @param options.behind writes do not wait until they are stored; see {@link WriteBehind}. Default: they do.
   */
  constructor(
    saver: BaseCheckpointSaver,
    metadata: JsonObject,
    options: {
      readonly holdsLease?: (() => Promise<boolean>) | undefined;
      readonly behind?: { readonly inOrder: boolean } | undefined;
      /** A checkpoint of the root graph is stored; the graph waits. Not with `behind`. */
      readonly onCheckpoint?: ((checkpointId: string) => Promise<void>) | undefined;
    } = {},
  ) {
    super(saver.serde);
    this.#saver = saver;
    this.#metadata = metadata;
    this.#holdsLease = options.holdsLease;
    this.#behind = options.behind === undefined ? null : new WriteBehind(options.behind);
    this.#onCheckpoint = options.onCheckpoint;
  }

  /** From here on every write is refused. */
  seal(): void {
    this.#sealed = true;
  }

  /** Resolves when everything that was written is stored. @throws what failed first */
  async drained(): Promise<void> {
    await this.#behind?.drained();
  }

  /** Resolves when every interrupt that was written can be read by who wants to answer it, or could not be stored. */
  async asked(): Promise<void> {
    await Promise.all(this.#questions);
    await this.#ownWrites();
  }

  #assertOpen(): void {
    if (this.#sealed) throw new HeddleError("LEASE_LOST", { message: "The run has already ended." });
  }

  /** @throws HeddleError `LEASE_LOST` when the run has ended here, or has another worker. */
  async #assertHeld(): Promise<void> {
    const holds = this.#holdsLease;
    if (holds === undefined) return;
    // One question for all tasks that write at this moment; it is asked after each of them has come.
    this.#check ??= Promise.resolve().then(() => {
      this.#check = null;
      return holds();
    });
    if (!(await this.#check)) {
      throw new HeddleError("LEASE_LOST", { message: "Another worker has taken over the run: nothing was saved." });
    }
    this.#assertOpen();
  }

  override async put(
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    newVersions: ChannelVersions,
  ): Promise<RunnableConfig> {
    this.#assertOpen();
    const store = async (): Promise<RunnableConfig> => {
      this.#assertOpen();
      if (this.#holdsLease !== undefined) await this.#assertHeld();
      return this.#saver.put(config, checkpoint, { ...this.#metadata, ...metadata }, newVersions);
    };
    const { checkpoint_ns: namespace = "" } = config.configurable ?? {};
    if (this.#behind === null) {
      const stored = await store();
      if (namespace === "") await this.#onCheckpoint?.(checkpoint.id);
      return stored;
    }
    await this.#behind.put(String(namespace), store, metadata.source === "input");
    return { ...config, configurable: { ...config.configurable, checkpoint_id: checkpoint.id } };
  }

  override async putWrites(
    config: RunnableConfig,
    writes: PendingWrite[],
    taskId: string,
    taskPath?: string,
  ): Promise<void> {
    this.#assertOpen();
    const asks = writes.some(([channel]) => channel === INTERRUPT);
    if (asks) this.interrupted = true;
    const stored = writes.some(([channel]) => channel === ERROR) ? this.#failed(writes) : writes;
    if (stored.length === 0) return;
    const store = async (): Promise<void> => {
      if (this.#holdsLease !== undefined) await this.#assertHeld();
      await this.#saver.putWrites(config, stored, taskId, taskPath);
    };
    if (this.#behind !== null) {
      this.#behind.add(store());
      return;
    }
    const storing = store();
    if (asks) this.#questions.push(storing.catch(() => undefined));
    await storing;
  }

  /**
   * What to store of a failed task. LangGraph stores what it had written before it failed, too, and then takes it for done
   * when the run is continued (langgraph 1.7.3, `_reapplyWritesToSucceededNodes`): a node that was stopped between its
   * update and its edge would end the graph there.
   */
  #failed(writes: PendingWrite[]): PendingWrite[] {
    if (this.stopping) return [];
    if (writes.some(([channel]) => channel === ERROR_SOURCE_NODE)) return writes;
    return writes.filter(([channel]) => channel in WRITES_IDX_MAP);
  }

  override async getTuple(config: RunnableConfig): Promise<CheckpointTuple | undefined> {
    await this.#ownWrites();
    return this.#saver.getTuple(config);
  }

  override async *list(config: RunnableConfig, options?: CheckpointListOptions): AsyncGenerator<CheckpointTuple> {
    await this.#ownWrites();
    yield* this.#saver.list(config, options);
  }

  override async deleteThread(threadId: string): Promise<void> {
    this.#assertOpen();
    return this.#saver.deleteThread(threadId);
  }

  override getNextVersion(current: number | undefined): number {
    return this.#saver.getNextVersion(current);
  }

  override async getDeltaChannelHistory(
    options: Parameters<BaseCheckpointSaver["getDeltaChannelHistory"]>[0],
  ): ReturnType<BaseCheckpointSaver["getDeltaChannelHistory"]> {
    await this.#ownWrites();
    return this.#saver.getDeltaChannelHistory(options);
  }

  /** A run reads what it has written. What failed is thrown where it matters: by the next write, or at the end. */
  async #ownWrites(): Promise<void> {
    await this.#behind?.drained().catch(() => undefined);
  }
}
