import { it } from "vitest";
import { systemClock } from "../../../control-plane/clock.ts";
import { createKubernetesEngine } from "../../../control-plane/engine/kubernetes/kubernetes.ts";
import { silentLog } from "../../../control-plane/log.ts";
import { engineContract } from "./contract.ts";

/**
 * The contract on a real cluster, whenever one is given:
 *   CLASSMIND_TEST_KUBECONFIG      a kubeconfig whose account may make namespaces
 *   CLASSMIND_TEST_IMAGE           an image that the cluster has, with `node` and `/bin/sh`
 *   CLASSMIND_TEST_STORAGE_CLASS, CLASSMIND_TEST_INGRESS_CLASS
 */
const {
  CLASSMIND_TEST_KUBECONFIG: kubeconfig,
  CLASSMIND_TEST_IMAGE: image = "localhost/classmind/test-node:1",
  CLASSMIND_TEST_STORAGE_CLASS: storageClass = "encrypted-local",
  CLASSMIND_TEST_INGRESS_CLASS: ingressClass = "nginx",
} = process.env;

if (kubeconfig === undefined) {
  it("contract of the kubernetes engine (on a cluster)", (context) =>
    context.skip("no cluster is given: set CLASSMIND_TEST_KUBECONFIG"));
} else {
  engineContract("kubernetes (on a cluster)", () => ({
    open: async () =>
      createKubernetesEngine({ kubeconfig, clock: systemClock, log: silentLog, storageClass, ingressClass }),
    image,
    patience: 90_000,
    storageClass,
    usageLater: true,
  }));
}
