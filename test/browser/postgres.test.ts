import { chatSuite } from "./support/chat-suite.js";
import { servePostgresTwice } from "./support/servers.js";

chatSuite("two processes on Postgres", servePostgresTwice);
