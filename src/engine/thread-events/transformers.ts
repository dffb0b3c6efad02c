import type { ProtocolEvent, StreamTransformer } from "@langchain/langgraph";
import type { Clock } from "../../core/clock.js";
import type { Logger } from "../../core/logger.js";
import { settledWithin } from "../../core/settled-within.js";
import { isFields } from "../streams/shapes.js";

/** An event before it is written: payloads are still the graph's own objects. */
export interface OpenEvent {
  /** The protocol's method, or `custom:<name>` with `data` as its payload. */
  readonly method: string;
  readonly namespace: readonly string[];
  readonly node?: string;
  readonly data: unknown;
}

/** Runs a graph's stream transformers, as LangGraph's own `StreamMux` does (langgraph 1.7.3, stream/mux.js). */
export interface Transformers {
  /** Hand an event to all of them; what they leave goes on to `emit`, with what they add. */
  push(event: OpenEvent): void;
  /** The graph has ended: final values are emitted. */
  finish(): Promise<void>;
  fail(error: unknown): void;
}

/** What LangGraph's `StreamChannel` is to whoever carries it, of whichever copy of LangGraph. */
interface Channel {
  readonly channelName?: string;
  _wire(onPush: (item: unknown) => void): void;
  _close(): void;
  _fail(error: unknown): void;
}

const CHANNEL_BRAND = Symbol.for("langgraph.stream_channel");

/** How long final values may take after the end of the graph. */
const FINAL_VALUES_MS = 5_000;

/**
 * @param factories of the compiled graph (`streamTransformers`)
 * @returns `null` when none of them can change what is streamed
 */
export function createTransformers(options: {
  readonly factories: readonly (() => StreamTransformer)[];
  readonly emit: (event: OpenEvent) => void;
  readonly logger: Logger;
  readonly clock: Clock;
}): Transformers | null {
  const { emit, logger, clock } = options;
  const transformers = options.factories.map((factory) => factory()).filter(reachesTheWire);
  if (transformers.length === 0) return null;

  const channels: Channel[] = [];
  const finals: { readonly name: string; readonly value: Promise<unknown> }[] = [];
  let current: readonly string[] = [];
  let seq = 0;

  /** A transformer that throws is a graph's bug that must not stop its run. */
  const guarded = <T>(what: () => T, otherwise: T): T => {
    try {
      return what();
    } catch (error) {
      logger.warn({ err: error }, "a stream transformer threw");
      return otherwise;
    }
  };

  const push = ({ method, namespace, node, data }: OpenEvent): void => {
    const outer = current;
    current = namespace;
    const event: ProtocolEvent = {
      type: "event",
      seq: seq++,
      method,
      params: { namespace: [...namespace], timestamp: clock.now(), ...(node === undefined ? {} : { node }), data },
    };
    let kept = true;
    for (const transformer of transformers) if (!guarded(() => transformer.process(event), true)) kept = false;
    current = outer;
    // A transformer may have changed the event in place.
    if (kept) emit({ method, namespace, ...(node === undefined ? {} : { node }), data: event.params.data });
  };

  const forward =
    (name: string) =>
    (item: unknown): void =>
      emit({ method: `custom:${name}`, namespace: current, data: item });

  const wire = (projection: unknown): void => {
    if (!isFields(projection)) return;
    for (const [name, value] of Object.entries(projection)) {
      if (isChannel(value)) {
        channels.push(value);
        const { channelName } = value;
        if (typeof channelName === "string") value._wire(forward(channelName));
      } else if (isThenable(value)) {
        const settled = Promise.resolve(value);
        // Asked for at the end only: until then its failure is nobody's.
        settled.catch(() => undefined);
        finals.push({ name, value: settled });
      }
    }
  };

  for (const transformer of transformers) {
    guarded(() => {
      transformer.onRegister?.({
        push: (_, { method, params }) => {
          const { namespace, node, data } = params;
          push({ method, namespace, ...(node === undefined ? {} : { node }), data });
        },
      });
      const projection: unknown = transformer.init();
      if (!isNative(transformer)) wire(projection);
    }, undefined);
  }

  return {
    push,
    async finish() {
      const finalized = transformers.map((transformer) => guarded(() => transformer.finalize?.(), undefined));
      for (const channel of channels) guarded(() => channel._close(), undefined);
      const all = Promise.allSettled([
        ...finalized,
        ...finals.map(async ({ name, value }) => {
          const data = await value;
          emit({ method: `custom:${name}`, namespace: [], data });
        }),
      ]);
      if (!(await settledWithin(clock, FINAL_VALUES_MS, all))) {
        logger.warn({}, "stream transformers had no final values in time");
      }
    },
    fail(error) {
      for (const transformer of transformers) guarded(() => transformer.fail?.(error), undefined);
      for (const channel of channels) guarded(() => channel._fail(error), undefined);
    },
  };
}

const isNative = (transformer: StreamTransformer): boolean =>
  (transformer as { readonly __native?: unknown }).__native === true;

/**
 * `createAgent` brings two that only fill projections of the process they run in (langchain 1.5.14, agents/transformers):
 * nobody reads those here, and they would keep all that passes.
 */
function reachesTheWire(transformer: StreamTransformer): boolean {
  return !isNative(transformer) || transformer.onRegister !== undefined;
}

function isChannel(value: unknown): value is Channel {
  return typeof value === "object" && value !== null && CHANNEL_BRAND in value;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
}
