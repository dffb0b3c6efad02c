import * as channels from "../../../graphs/openwop/channels.js";
import * as gates from "../../../graphs/openwop/gates.js";
import * as steps from "../../../graphs/openwop/steps.js";
import * as subworkflow from "../../../graphs/openwop/subworkflow.js";

/** The fixture workflows by their ids, as `graphs/openwop/langgraph.json` names them. */
export const conformanceGraphs = {
  "conformance-noop": steps.noop,
  "conformance-identity": steps.identity,
  "conformance-idempotent": steps.idempotent,
  "conformance-delay": steps.delay,
  "conformance-cancellable": steps.cancellable,
  "conformance-run-duration-breach": steps.runDurationBreach,
  "conformance-multi-node": steps.multiNode,
  "conformance-failure": steps.failure,
  "conformance-cap-breach": steps.capBreach,
  "conformance-configurable-schema": steps.configurableSchema,
  "conformance-approval": gates.approval,
  "conformance-clarification": gates.clarification,
  "conformance-interrupt-external-event": gates.externalEvent,
  "conformance-interrupt-quorum": gates.quorum,
  "conformance-interrupt-auth-required": gates.authRequired,
  "conformance-subworkflow-parent": subworkflow.parent,
  "conformance-subworkflow-child": subworkflow.child,
  "conformance-stream-text": channels.streamText,
  "conformance-message-reducer": channels.messageReducer,
  "conformance-channel-ttl": channels.channelTtl,
};
