import { afterAll, beforeAll } from "vitest";
import { systemClock } from "../../../control-plane/clock.ts";
import { createKubernetesEngine } from "../../../control-plane/engine/kubernetes/kubernetes.ts";
import { silentLog } from "../../../control-plane/log.ts";
import { smallPod } from "../../fixtures/kube-api/behaviour.ts";
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
  open: async () =>
    createKubernetesEngine({
      kubeconfig: kubeconfig.file,
      clock: systemClock,
      log: silentLog,
      storageClass: "classmind-encrypted",
      ingressClass: "nginx",
    }),
  image: "localhost/classmind/app:0123456789abcdef",
  patience: 5_000,
}));
