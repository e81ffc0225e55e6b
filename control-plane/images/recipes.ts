import { join } from "node:path";

/** A Debian root file system: the lowest layer of an image. Any change makes a new one. */
export interface RootfsRecipe {
  readonly name: string;
  /** Debian suite. */
  readonly suite: string;
  readonly packages: readonly string[];
  /** dpkg path patterns that are left out. */
  readonly excludes: readonly string[];
  /** Executables run with the root file system as argument: before and after the packages are set up. */
  readonly extractHooks: readonly string[];
  readonly customizeHooks: readonly string[];
}

/** A file that goes into an image as it is. */
export interface ImageFile {
  /** Path below the repository's root. */
  readonly source: string;
  /** Absolute path in the image. */
  readonly target: string;
  readonly mode: number;
}

/** A TypeScript program that goes into an image as JavaScript. */
export interface ImageBundle {
  readonly entry: string;
  /** Absolute path in the image, ends in .mjs. */
  readonly target: string;
  /** Modules, as its source imports them, that the image has no use for: an import of one fails. */
  readonly without?: readonly string[];
}

export const IMAGE_NAMES = ["postgres", "app", "control-plane", "gateway"] as const;
export type ImageName = (typeof IMAGE_NAMES)[number];

export interface ImageRecipe<Name extends string = string> {
  readonly name: Name;
  readonly rootfs: RootfsRecipe;
  /** Whether the project's own Node binary is part of it. */
  readonly node: boolean;
  /** Whether the school platform's bundle (tenant-app/bundle.ts) lies under /app. */
  readonly tenantApp: boolean;
  readonly files: readonly ImageFile[];
  readonly bundles: readonly ImageBundle[];
  /** Directories of files copied whole: source below the repository's root, absolute target. */
  readonly directories: ReadonlyArray<{ readonly source: string; readonly target: string }>;
  readonly path: string;
  /** Signal by which an engine asks the image's program to end; SIGTERM if absent. */
  readonly stopSignal?: NodeJS.Signals;
}

/** Uid and gid of everything that runs in a container. */
export const CONTAINER_UID = 10001;
/** Label of an image: its programs run as any other user too. */
export const ANYBODY = "classmind.runs-as-anybody";

const HERE = import.meta.dirname;
export const SUITE = "trixie";
const DOCUMENTATION = [
  "/usr/share/doc/*",
  "/usr/share/man/*",
  "/usr/share/info/*",
  "/usr/share/locale/*",
  "/usr/share/lintian/*",
];
const ADD_USER = join(HERE, "add-user");
const PLAIN_PATH = "/usr/local/bin:/usr/bin:/bin";

const POSTGRES_ROOTFS: RootfsRecipe = {
  name: "postgres",
  suite: SUITE,
  packages: ["postgresql-17", "restic", "ca-certificates", "openssh-client", "jq"],
  excludes: [
    ...DOCUMENTATION,
    "/usr/share/i18n/*",
    // The just-in-time compiler is off for small databases and would be half of the image.
    "/usr/lib/*/libLLVM*",
    "/usr/lib/*/libz3*",
    "/usr/lib/postgresql/*/lib/llvmjit*",
    "/usr/lib/postgresql/*/lib/bitcode/*",
  ],
  extractHooks: [join(HERE, "postgres", "no-default-cluster")],
  customizeHooks: [ADD_USER, join(HERE, "postgres", "make-cluster")],
};

const APP_ROOTFS: RootfsRecipe = {
  name: "app",
  suite: SUITE,
  packages: ["libstdc++6", "libatomic1", "ca-certificates", "tzdata"],
  excludes: DOCUMENTATION,
  extractHooks: [],
  customizeHooks: [ADD_USER],
};

const GATEWAY_ROOTFS: RootfsRecipe = {
  name: "gateway",
  suite: SUITE,
  packages: ["haproxy", "ca-certificates"],
  excludes: DOCUMENTATION,
  extractHooks: [],
  customizeHooks: [ADD_USER],
};

const LIB = "/usr/local/lib/classmind";

/** The images of the platform. `app` and `control-plane` share all layers but the last. */
export const IMAGE_RECIPES: ReadonlyArray<ImageRecipe<ImageName>> = [
  {
    name: "postgres",
    rootfs: POSTGRES_ROOTFS,
    node: false,
    tenantApp: false,
    files: [
      { source: "control-plane/images/postgres/postgres-start", target: `${LIB}/postgres-start`, mode: 0o755 },
      { source: "control-plane/images/postgres/postgres-probe", target: `${LIB}/postgres-probe`, mode: 0o755 },
      { source: "control-plane/images/postgres/backup", target: `${LIB}/backup`, mode: 0o755 },
      { source: "control-plane/images/postgres/ssh_config", target: `${LIB}/ssh_config`, mode: 0o644 },
      { source: "control-plane/images/postgres/postgresql.conf", target: `${LIB}/postgresql.conf`, mode: 0o644 },
      { source: "control-plane/images/postgres/pg_hba.conf", target: `${LIB}/pg_hba.conf`, mode: 0o644 },
      { source: "control-plane/images/postgres/platform.sql", target: `${LIB}/platform.sql`, mode: 0o644 },
      { source: "control-plane/images/postgres/keyring.sql", target: `${LIB}/keyring.sql`, mode: 0o644 },
      { source: "control-plane/images/postgres/school.sql", target: `${LIB}/school.sql`, mode: 0o644 },
      { source: "tenant-app/ground/database/roles.sql", target: `${LIB}/roles.sql`, mode: 0o644 },
    ],
    bundles: [],
    directories: [],
    // Debian's wrappers in /usr/bin are Perl and slow; probes run every few seconds.
    path: `/usr/lib/postgresql/17/bin:${PLAIN_PATH}`,
    // "Fast shutdown". SIGTERM would wait for every client to leave, which an app does not: each stop would end with a kill.
    stopSignal: "SIGINT",
  },
  {
    name: "app",
    rootfs: APP_ROOTFS,
    node: true,
    tenantApp: true,
    files: [],
    bundles: [{ entry: "control-plane/verify/probe.ts", target: "/app/isolation-probe.mjs" }],
    directories: [],
    path: PLAIN_PATH,
  },
  {
    name: "control-plane",
    rootfs: APP_ROOTFS,
    node: true,
    tenantApp: false,
    files: [],
    bundles: [
      { entry: "control-plane/main.ts", target: "/app/main.mjs" },
      // On a cluster. On one machine the reconciler is no container, and its engine has native parts that a bundle cannot hold.
      {
        entry: "control-plane/reconciler.ts",
        target: "/app/reconciler.mjs",
        without: ["./engine/containers/containers.ts"],
      },
      { entry: "control-plane/operator-main.ts", target: "/app/operator.mjs" },
      { entry: "control-plane/gateway-main.ts", target: "/app/gateway.mjs" },
    ],
    directories: [
      { source: "charts/tenant", target: "/app/charts/tenant" },
      { source: "control-plane/store/migrations", target: "/app/migrations" },
    ],
    path: PLAIN_PATH,
  },
  {
    name: "gateway",
    rootfs: GATEWAY_ROOTFS,
    node: false,
    tenantApp: false,
    files: [],
    bundles: [],
    directories: [],
    path: `/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
    // In a pod: connections end in peace. On one machine the supervisor says SIGTERM (control-plane/gateway/container.ts).
    stopSignal: "SIGUSR1",
  },
];
