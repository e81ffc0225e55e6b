/**
 * Kernel calls that a school must not be let make: what they lead to is far more of the kernel than a school needs, or shared with
 * other schools. Each is made in a way that changes nothing where it is refused, and nothing outside of one short process where not.
 */
export interface KernelCall {
  /** As the kernel calls it; two ways to the same are two calls. */
  readonly name: string;
  /** What it would give. */
  readonly label: string;
  /** Numbers of the call, by Node's names of architectures. */
  readonly numbers: { readonly x64: number; readonly arm64: number };
  readonly args: readonly number[];
  /** Errors, besides EPERM and ENOSYS, that say that the machine has no such thing at all. */
  readonly absent?: readonly number[];
  /** Whether the default profile of current container runtimes refuses it too, and so every cluster has to. */
  readonly everywhere: boolean;
}

const EPERM = 1;
const ENOSPC = 28;
const ENOSYS = 38;
const EAFNOSUPPORT = 97;

const NEW_USER = 0x10000000;
const SIGCHLD = 17;
const AF_VSOCK = 40;
const SOCK_STREAM = 1;
const SESSION_KEYRING = -3;

export const KERNEL_CALLS: readonly KernelCall[] = [
  {
    name: "unshare",
    label: "a user namespace of its own, in which it is root",
    numbers: { x64: 272, arm64: 97 },
    args: [NEW_USER],
    // The machine's limit of user namespaces is 0.
    absent: [ENOSPC],
    everywhere: true,
  },
  {
    name: "clone",
    label: "a process in a user namespace of its own, in which it is root",
    numbers: { x64: 56, arm64: 220 },
    args: [NEW_USER | SIGCHLD, 0, 0, 0, 0],
    absent: [ENOSPC],
    everywhere: true,
  },
  {
    name: "clone3",
    label: "namespaces of its own by a call whose flags no filter sees",
    numbers: { x64: 435, arm64: 435 },
    args: [0, 0],
    everywhere: true,
  },
  {
    name: "setns",
    label: "another namespace",
    numbers: { x64: 308, arm64: 268 },
    args: [-1, 0],
    everywhere: true,
  },
  {
    name: "keyctl",
    label: "the kernel's key rings, which all containers of one user share",
    numbers: { x64: 250, arm64: 219 },
    args: [0, SESSION_KEYRING, 0],
    everywhere: true,
  },
  {
    name: "add_key",
    label: "a new key in the kernel",
    numbers: { x64: 248, arm64: 217 },
    args: [0, 0, 0, 0, 0],
    everywhere: true,
  },
  {
    name: "request_key",
    label: "keys of the kernel, for which it starts programs",
    numbers: { x64: 249, arm64: 218 },
    args: [0, 0, 0, 0],
    everywhere: true,
  },
  {
    name: "socket",
    label: "a vsock, which leads to the hypervisor and past every firewall",
    numbers: { x64: 41, arm64: 198 },
    args: [AF_VSOCK, SOCK_STREAM, 0],
    absent: [EAFNOSUPPORT],
    everywhere: true,
  },
  {
    name: "mount",
    label: "mounts",
    numbers: { x64: 165, arm64: 40 },
    args: [0, 0, 0, 0, 0],
    everywhere: true,
  },
  {
    name: "bpf",
    label: "programs inside the kernel",
    numbers: { x64: 321, arm64: 280 },
    args: [0, 0, 0],
    everywhere: true,
  },
  {
    name: "perf_event_open",
    label: "performance counters",
    numbers: { x64: 298, arm64: 241 },
    args: [0, 0, -1, -1, 0],
    everywhere: true,
  },
  {
    name: "userfaultfd",
    label: "page faults of its own, a tool to break into kernels",
    numbers: { x64: 323, arm64: 282 },
    args: [1],
    everywhere: true,
  },
  {
    name: "io_uring_setup",
    label: "io_uring, by which calls pass the filter",
    numbers: { x64: 425, arm64: 425 },
    args: [0, 0],
    everywhere: true,
  },
  {
    name: "open_by_handle_at",
    label: "files by number, past every directory",
    numbers: { x64: 304, arm64: 265 },
    args: [-1, 0, 0],
    everywhere: true,
  },
  {
    name: "ptrace",
    label: "other processes from inside",
    numbers: { x64: 101, arm64: 117 },
    args: [0, 0, 0, 0],
    everywhere: false,
  },
  {
    name: "process_vm_readv",
    label: "other processes' memory",
    numbers: { x64: 310, arm64: 270 },
    args: [1, 0, 0, 0, 0, 0],
    everywhere: false,
  },
  {
    name: "memfd_create",
    label: "programs in memory, where nothing is mounted noexec",
    numbers: { x64: 319, arm64: 279 },
    args: [0, 0],
    everywhere: false,
  },
];

/**
 * What came of a call. Whatever is wrong with its arguments was looked at by the kernel itself: only a refusal is one. Pure.
 * @param result what it returned
 * @param errno why it failed, where it did
 */
export function outcomeOf(call: KernelCall, result: number, errno: number): "reached" | "blocked" {
  if (result >= 0) return "reached";
  return errno === EPERM || errno === ENOSYS || (call.absent ?? []).includes(errno) ? "blocked" : "reached";
}
