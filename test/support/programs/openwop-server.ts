import { serve } from "../../protocols/openwop/served.js";

/*
 * OpenWOP and the LangGraph API over one storage, to be killed: `openwop-server <uri>`. Prints `{url, secret}` when it listens.
 */
const [uri = "memory:"] = process.argv.slice(2);
const { url, ann, server } = await serve({ uri });
await server.start();
process.stdout.write(`${JSON.stringify({ url, secret: ann.secret })}\n`);
