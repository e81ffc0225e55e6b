import { existsSync } from "node:fs";
import { join } from "node:path";
import { writeWhole } from "./files.ts";
import { createMutex } from "./mutex.ts";

/**
 * The kernel calls that programs of a school may make: what the container engines' own default allows to a container without
 * capabilities, without what Node, PostgreSQL, restic and OpenSSH never need. Left out, among others: namespaces of one's own (an
 * unprivileged process is root in a user namespace that it makes, and reaches code of the kernel that is meant for root), the
 * kernel's key rings (which all containers of one user share), other processes' memory, mounts, BPF, performance counters, user
 * page faults, io_uring and asynchronous I/O, programs in memory (a volume is mounted noexec), and the 32-bit calls altogether.
 */
const CALLS = `
  accept accept4 access alarm arch_prctl bind brk cachestat capget capset chdir chmod chown clock_getres clock_gettime
  clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl
  epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64
  fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fork
  fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex futex_requeue futex_wait futex_waitv futex_wake futimesat
  get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid geteuid getgid getgroups getitimer
  getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresuid getrlimit getrusage getsid
  getsockname getsockopt gettid gettimeofday getuid getxattr getxattrat inotify_add_watch inotify_init inotify_init1
  inotify_rm_watch ioctl ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset landlock_restrict_self
  lchown lgetxattr link linkat listen listxattr listxattrat llistxattr lremovexattr lseek lsetxattr lstat madvise
  map_shadow_stack membarrier mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mprotect mq_getsetattr
  mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock
  munlockall munmap nanosleep newfstatat open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc
  pkey_free pkey_mprotect poll ppoll prctl pread64 preadv preadv2 prlimit64 pselect6 pwrite64 pwritev pwritev2 read
  readahead readlink readlinkat readv recvfrom recvmmsg recvmsg removexattr removexattrat rename renameat renameat2
  restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
  rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr
  sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam
  sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop sendfile sendmmsg sendmsg sendto
  set_robust_list set_thread_area set_tid_address setfsgid setfsuid setgid setgroups setitimer setpgid setpriority
  setregid setresgid setresuid setreuid setrlimit setsid setsockopt setuid setxattr setxattrat shmat shmctl shmdt
  shmget shutdown sigaltstack signalfd signalfd4 splice stat statfs statx symlink symlinkat sync sync_file_range
  sync_file_range2 syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime
  timer_settime timerfd_create timerfd_gettime timerfd_settime times tkill truncate umask uname unlink unlinkat utime
  utimensat utimes vfork wait4 waitid write writev
`;

/** Families of sockets: Unix, IPv4, IPv6, and netlink, by which libc looks for addresses. Not vsock, which leads to the hypervisor. */
const FAMILIES = [1, 2, 10, 16];
/** clone(2) flags that make a namespace: NEWUSER, NEWPID, NEWNET, NEWIPC, NEWUTS, NEWCGROUP, NEWNS, and NEWTIME in clone3 only. */
const NEW_NAMESPACES = 0x7e020000;
/** What a kernel answers that does not know a call: programs then do without it. */
const ENOSYS = 38;

interface Rule {
  readonly names: readonly string[];
  readonly action: "SCMP_ACT_ALLOW" | "SCMP_ACT_ERRNO";
  readonly errnoRet?: number;
  readonly args?: ReadonlyArray<{
    readonly index: number;
    readonly value: number;
    readonly valueTwo?: number;
    readonly op: "SCMP_CMP_EQ" | "SCMP_CMP_MASKED_EQ";
  }>;
}

/** A profile as Docker and Podman read it (moby's profiles/seccomp; containers/common pkg/seccomp). */
export interface SeccompProfile {
  readonly defaultAction: "SCMP_ACT_ERRNO";
  readonly defaultErrnoRet: number;
  readonly architectures: readonly string[];
  readonly syscalls: readonly Rule[];
}

/** The profile of every container of a school on a machine of this kind. Pure. */
export function seccompProfile(arch: NodeJS.Architecture = process.arch): SeccompProfile {
  const clone = { index: 0, value: NEW_NAMESPACES, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ" } as const;
  return {
    defaultAction: "SCMP_ACT_ERRNO",
    defaultErrnoRet: 1,
    architectures: [arch === "arm64" ? "SCMP_ARCH_AARCH64" : "SCMP_ARCH_X86_64"],
    syscalls: [
      { names: CALLS.trim().split(/\s+/), action: "SCMP_ACT_ALLOW" },
      { names: ["clone"], action: "SCMP_ACT_ALLOW", args: [clone] },
      // Its flags lie in memory, where a filter cannot look; libc then calls clone.
      { names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: ENOSYS },
      ...["socket", "socketpair"].flatMap((name) =>
        FAMILIES.map(
          (value): Rule => ({
            names: [name],
            action: "SCMP_ACT_ALLOW",
            args: [{ index: 0, value, op: "SCMP_CMP_EQ" }],
          }),
        ),
      ),
    ],
  };
}

/** Hands the profile to the container engine. */
export interface Seccomp {
  /** What a container's `SecurityOpt` says: Podman reads a file of its host, Docker's API takes the content. */
  option(podman: boolean): Promise<string>;
}

/** @param runDir of the instance: the file lies there, and is written again should somebody have removed it */
export function openSeccomp(runDir: string): Seccomp {
  const content = JSON.stringify(seccompProfile());
  const file = join(runDir, "seccomp.json");
  const mutex = createMutex();
  let written = false;
  return {
    option: (podman) =>
      mutex.run("file", async () => {
        if (!podman) return `seccomp=${content}`;
        // An earlier version's may be there.
        if (!written || !existsSync(file)) await writeWhole(file, content, { mode: 0o600, durable: false });
        written = true;
        return `seccomp=${file}`;
      }),
  };
}
