import { POD } from "../../render/values.ts";
import type { Manifest } from "../engine.ts";
import { MANAGED_BY, MARK } from "./kinds.ts";

/** What preflight makes for a moment to see what no look at the API shows. As hard-walled as a school, and no school's name. */

/** No school can have this name: a school's begins with a letter. */
export const TRIAL = "school-0preflight";
export const LISTENER_PORT = 8080;

const labels = { [MARK.managedBy]: MANAGED_BY, "app.kubernetes.io/name": "classmind" };
const role = (name: string) => ({ "classmind.de/preflight": name });

const SPEC = {
  automountServiceAccountToken: false,
  enableServiceLinks: false,
  terminationGracePeriodSeconds: 1,
  securityContext: POD.securityContext,
};
const CONTAINER = {
  imagePullPolicy: "IfNotPresent",
  securityContext: POD.containerSecurityContext,
  resources: {
    requests: { cpu: "10m", memory: "32Mi", "ephemeral-storage": "16Mi" },
    limits: { cpu: "500m", memory: "128Mi", "ephemeral-storage": "64Mi" },
  },
};

/** Writes to the volume before it listens: a volume of another owner shows as a pod that crashes. */
const LISTENER = `
require("fs").writeFileSync("/var/lib/classmind/written", "by our user");
require("net").createServer((socket) => socket.on("error", () => {}).end("reached")).listen(${LISTENER_PORT});
process.on("SIGTERM", () => process.exit(0));
`;

/**
 * Connects to a target again and again, until what is expected has been seen and stays, or the time is over: a network plugin may
 * learn of a new pod or policy a moment late. Prints what it saw last, and which
 * of the node's users its own first one is.
 */
const CLIENT = `
const net = require("net");
const { host, port, expect, seconds } = JSON.parse(require("fs").readFileSync("/run/job/input.json", "utf8"));
const once = () => new Promise((resolve) => {
  const socket = net.connect({ host, port });
  const settle = (seen) => { socket.destroy(); resolve(seen); };
  socket.setTimeout(1000, () => settle("blocked"));
  socket.once("connect", () => settle("reached"));
  socket.once("error", () => settle("blocked"));
});
(async () => {
  const end = Date.now() + seconds * 1000;
  let seen, times = 0;
  while (Date.now() < end && times < 3) {
    seen = await once();
    times = seen === expect ? times + 1 : 0;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  // Inside, outside, how many: of the node's own users, both are the same.
  const [, firstUser] = require("fs").readFileSync("/proc/self/uid_map", "utf8").trim().split(/ +/).map(Number);
  process.stdout.write(JSON.stringify({ seen, firstUser }));
})();
`;

function policy(name: string, spec: object): Manifest {
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: { name, namespace: TRIAL, labels },
    spec,
  };
}

const peer = (name: string) => [{ podSelector: { matchLabels: role(name) } }];
const port = [{ protocol: "TCP", port: LISTENER_PORT }];

export const WALLS: readonly Manifest[] = [
  policy("default-deny", { podSelector: {}, policyTypes: ["Ingress", "Egress"] }),
];
/** Lets the client out to the listener. */
export const WAY_OUT = policy("way-out", {
  podSelector: { matchLabels: role("client") },
  policyTypes: ["Egress"],
  egress: [{ to: peer("listener"), ports: port }],
});
/** Lets the client in to the listener. */
export const WAY_IN = policy("way-in", {
  podSelector: { matchLabels: role("listener") },
  policyTypes: ["Ingress"],
  ingress: [{ from: peer("client"), ports: port }],
});

/**
 * Namespace, volume and a pod that listens.
 * @param volumeKey what an encrypting storage takes from the namespace
 */
export function trialObjects(image: string, storageClass: string, volumeKey: Buffer): readonly Manifest[] {
  // As charts/tenant/secret-volume-key.yaml.hbs has it.
  const key = {
    key: volumeKey.toString("base64"),
    CRYPTO_KEY_VALUE: Buffer.from(volumeKey.toString("hex")).toString("base64"),
    CRYPTO_KEY_PROVIDER: Buffer.from("secret").toString("base64"),
  };
  return [
    {
      apiVersion: "v1",
      kind: "Namespace",
      metadata: {
        name: TRIAL,
        labels: { ...labels, "pod-security.kubernetes.io/enforce": "restricted" },
      },
    },
    ...WALLS,
    {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "volume-key", namespace: TRIAL, labels },
      type: "Opaque",
      data: key,
    },
    {
      apiVersion: "v1",
      kind: "PersistentVolumeClaim",
      metadata: { name: "data", namespace: TRIAL, labels },
      spec: {
        accessModes: ["ReadWriteOnce"],
        storageClassName: storageClass,
        resources: { requests: { storage: "64Mi" } },
      },
    },
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "listener", namespace: TRIAL, labels },
      spec: {
        type: "ClusterIP",
        selector: role("listener"),
        ports: [{ name: "main", protocol: "TCP", port: LISTENER_PORT, targetPort: LISTENER_PORT }],
      },
    },
    {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name: "listener", namespace: TRIAL, labels },
      spec: {
        replicas: 1,
        selector: { matchLabels: role("listener") },
        template: {
          metadata: { labels: role("listener") },
          spec: {
            ...SPEC,
            containers: [
              {
                ...CONTAINER,
                name: "listener",
                image,
                command: ["node", "-e", LISTENER],
                // Of the kubelet's own making: a probe over the network would have to pass the walls.
                startupProbe: {
                  exec: { command: ["test", "-e", "/var/lib/classmind/written"] },
                  periodSeconds: 1,
                  failureThreshold: 60,
                },
                volumeMounts: [{ name: "data", mountPath: "/var/lib/classmind", subPath: "trial" }],
              },
            ],
            volumes: [{ name: "data", persistentVolumeClaim: { claimName: "data" } }],
          },
        },
      },
    },
  ];
}

/** A pod that tries to reach the listener. */
export function trialJob(image: string, name: string, deadlineSeconds: number): Manifest {
  return {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { name, namespace: TRIAL, labels },
    spec: {
      backoffLimit: 0,
      activeDeadlineSeconds: deadlineSeconds,
      ttlSecondsAfterFinished: 300,
      template: {
        metadata: { labels: role("client") },
        spec: {
          ...SPEC,
          restartPolicy: "Never",
          containers: [
            {
              ...CONTAINER,
              name: "client",
              image,
              command: ["node", "-e", CLIENT],
              volumeMounts: [{ name: "input", mountPath: "/run/job", readOnly: true }],
            },
          ],
          volumes: [{ name: "input", secret: { secretName: `${name}-input`, defaultMode: 288 } }],
        },
      },
    },
  };
}
