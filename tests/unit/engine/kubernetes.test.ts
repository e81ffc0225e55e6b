import { afterAll, beforeAll } from "vitest";
import { createKubernetesEngine } from "../../../control-plane/engine/kubernetes/kubernetes.ts";
import { smallPod } from "../../fixtures/kube-api/behaviour.ts";
import { IN_TEST_API } from "../../fixtures/kube-api/engine-options.ts";
import { writeKubeconfig } from "../../fixtures/kube-api/kubeconfig.ts";
import { type KubeApi, startKubeApi } from "../../fixtures/kube-api/server.ts";
import { engineContract } from "../../real/engine/contract.ts";

let api: KubeApi;
let kubeconfig: ReturnType<typeof writeKubeconfig>;
beforeAll(async () => {
  api = await startKubeApi(smallPod);
  kubeconfig = writeKubeconfig(api.url);
});
afterAll(async () => {
  kubeconfig.remove();
  await api.close();
});

engineContract("kubernetes (on an API server in this process)", () => ({
  open: async () => createKubernetesEngine({ ...IN_TEST_API, kubeconfig: kubeconfig.file }),
  image: "localhost/classmind/app:0123456789abcdef",
  patience: 5_000,
}));
