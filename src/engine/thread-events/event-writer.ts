import type { Clock } from "../../core/clock.js";
import { asJsonText, type JsonText } from "../../core/json.js";
import type { NewRunEvent, RunEventKind } from "../../core/run-event.js";
import { threadEventName } from "../../core/thread-event.js";

/** Where a thread's event comes from: the path of its graph, and the node if it is known. */
export interface Place {
  readonly namespace: readonly string[];
  readonly node?: string;
}

/** Writes events of one name and one place, whose envelope is made once: a model writes hundreds. */
export interface PlacedWriter {
  /** @param data JSON text of `params.data` */
  write(data: JsonText, kind: RunEventKind): void;
}

export interface EventWriter {
  /** @param name the wire's method, or `custom:<name>` */
  at(name: string, place: Place): PlacedWriter;
}

/**
 * Puts `{namespace, timestamp, node?, data}` (docs/wire/langgraph-api.md §4.2) around data.
 * @param push takes each event
 */
export function createEventWriter(clock: Pick<Clock, "now">, push: (event: NewRunEvent) => void): EventWriter {
  return {
    at(name, { namespace, node }) {
      const event = threadEventName(name, namespace);
      const head = `{"namespace":${JSON.stringify(namespace)},"timestamp":`;
      const middle = `${node === undefined ? "" : `,"node":${JSON.stringify(node)}`},"data":`;
      return {
        write: (data, kind) => push({ event, data: asJsonText(`${head}${clock.now()}${middle}${data}}`), kind }),
      };
    },
  };
}

/** Segments of a `checkpoint_ns`. */
export function segmentsOf(checkpointNs: string): readonly string[] {
  return checkpointNs === "" ? [] : checkpointNs.split("|");
}
