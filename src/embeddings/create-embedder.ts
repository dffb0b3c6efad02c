import type { Clock } from "../core/clock.js";
import type { Embedder } from "../core/embedder.js";
import { HeddleError, isHeddleError } from "../core/errors.js";
import type { TextModel } from "./text-model.js";

export interface EmbedderOptions {
  /** Numbers of each vector. */
  readonly dims: number;
  /** Texts of one call of the model. */
  readonly maxTexts: number;
  /** Calls of the model at once, from all of this process. */
  readonly concurrency: number;
  /** How long a call may take, and before it the wait for its turn. */
  readonly timeoutMs: number;
  readonly clock: Clock;
}

/** Vectors of searched texts that are kept. */
const MAX_QUERIES = 256;
/** A longer one is not worth its memory: nobody types it twice. */
const MAX_QUERY_CHARS = 4_096;

/** A model with limits: texts in calls of bounded size, few at once, each within a time, and its vectors checked. */
export function createEmbedder(model: TextModel, options: EmbedderOptions): Embedder {
  const { dims, maxTexts, clock, timeoutMs } = options;
  const turns = createTurns(options.concurrency);
  const queries = new Map<string, Promise<Float32Array>>();

  const call = async <T>(what: string, ask: () => Promise<T>): Promise<T> => {
    const turn = turns.take();
    const release = await within(clock, timeoutMs, `wait for its turn to ${what}`, turn).catch(
      async (error: unknown) => {
        void turn.then((late) => late());
        throw error;
      },
    );
    // What takes too long gives its turn back: it may never end, and others are waiting.
    try {
      return await within(clock, timeoutMs, what, ask());
    } finally {
      release();
    }
  };
  const embedSome = async (texts: readonly string[]): Promise<readonly Float32Array[]> => {
    const vectors = await call(`embed ${texts.length} texts`, () => model.embedTexts(texts));
    if (!Array.isArray(vectors) || vectors.length !== texts.length) {
      throw failed(`it returned ${Array.isArray(vectors) ? vectors.length : "no"} vectors for ${texts.length} texts`);
    }
    return vectors.map((vector) => checked(vector as ArrayLike<number>, dims));
  };
  const embedQuery = async (text: string): Promise<Float32Array> =>
    checked(await call("embed a query", () => model.embedQuery(text)), dims);

  return {
    dims,
    id: model.id,
    async embedTexts(texts) {
      const parts: (readonly string[])[] = [];
      for (let from = 0; from < texts.length; from += maxTexts) parts.push(texts.slice(from, from + maxTexts));
      return (await Promise.all(parts.map(embedSome))).flat();
    },
    embedQuery(text) {
      if (text.length > MAX_QUERY_CHARS) return embedQuery(text);
      const known = queries.get(text) ?? embedQuery(text);
      // To the end: what was asked for longest ago goes first.
      queries.delete(text);
      queries.set(text, known);
      const [oldest] = queries.keys();
      if (queries.size > MAX_QUERIES && oldest !== undefined) queries.delete(oldest);
      known.catch(() => {
        if (queries.get(text) === known) queries.delete(text);
      });
      return known;
    },
  };
}

function checked(vector: ArrayLike<number>, dims: number): Float32Array {
  const length: unknown = (vector as ArrayLike<number> | null | undefined)?.length;
  if (length !== dims) {
    throw failed(
      typeof length === "number"
        ? `its vectors have ${length} numbers and store.index.dims says ${dims}. Set store.index.dims to ${length}, or name another model`
        : "it returned something that is no vector",
    );
  }
  const values = Float32Array.from(vector);
  if (!values.every(Number.isFinite)) throw failed("it returned a vector with numbers that are not finite");
  return values;
}

function failed(reason: string, cause?: unknown): HeddleError {
  return new HeddleError("EMBEDDING_FAILED", {
    message: `The embedding model (store.index.embed) failed: ${reason}.`,
    ...(cause !== undefined && { cause }),
  });
}

/** @throws HeddleError `EMBEDDING_FAILED` with what the work threw, or when it takes longer than `ms` */
async function within<T>(clock: Clock, ms: number, what: string, work: Promise<T>): Promise<T> {
  let timer: { cancel(): void } | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = clock.setTimer(() => reject(failed(`it took longer than ${ms} ms to ${what}`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } catch (error) {
    if (isHeddleError(error) && error.code === "EMBEDDING_FAILED") throw error;
    throw failed(error instanceof Error ? error.message : String(error), error);
  } finally {
    timer?.cancel();
  }
}

/** Turns, `limit` at once, first come first served. */
function createTurns(limit: number): { take(): Promise<() => void> } {
  const waiting: ((release: () => void) => void)[] = [];
  let taken = 0;
  const release = (): void => {
    const next = waiting.shift();
    if (next === undefined) taken -= 1;
    else next(release);
  };
  return {
    async take() {
      if (taken >= limit) return new Promise((resolve) => waiting.push(resolve));
      taken += 1;
      return release;
    },
  };
}
