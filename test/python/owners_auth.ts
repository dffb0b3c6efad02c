import type { Auth } from "@langchain/langgraph-sdk/auth";
import { ownersAuth } from "../support/owners-auth.js";

/** For the server of test_auth.py. */
export const auth: Auth = ownersAuth();
