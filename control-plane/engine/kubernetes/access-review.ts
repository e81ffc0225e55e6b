import type { Client } from "./client.ts";
import { at } from "./live.ts";

/** What is asked about: the fields of SelfSubjectAccessReview's resourceAttributes. */
export interface AccessQuestion {
  /** Empty: the whole cluster. */
  readonly namespace: string;
  readonly group?: string;
  readonly resource: string;
  readonly subresource?: string;
  /** One object alone. */
  readonly name?: string;
  readonly verb: string;
}

/** Whether the API's authorizer lets the engine's account do something. Writes nothing. */
export async function mayI(client: Client, resourceAttributes: AccessQuestion): Promise<boolean> {
  const answer = await client.transport.request({
    method: "POST",
    path: "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
    body: {
      apiVersion: "authorization.k8s.io/v1",
      kind: "SelfSubjectAccessReview",
      spec: { resourceAttributes },
    },
  });
  return at(answer, "status", "allowed") === true;
}
