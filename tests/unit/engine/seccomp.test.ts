import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { openSeccomp, seccompProfile } from "../../../control-plane/engine/containers/seccomp.ts";
import { KERNEL_CALLS, outcomeOf } from "../../../control-plane/verify/kernel-calls.ts";

it("allows no call without conditions that the probe tries", () => {
  const free = seccompProfile()
    .syscalls.filter(({ action, args }) => action === "SCMP_ACT_ALLOW" && args === undefined)
    .flatMap(({ names }) => names);
  expect(KERNEL_CALLS.map(({ name }) => name).filter((name) => free.includes(name))).toEqual([]);
  expect(new Set(free).size).toBe(free.length);
  for (const needed of ["execve", "futex", "fsync", "shmget", "getrandom", "rseq", "accept4"]) {
    expect(free).toContain(needed);
  }
});

it("knows one architecture: calls of 32-bit programs are those of none", () => {
  expect(seccompProfile("x64").architectures).toEqual(["SCMP_ARCH_X86_64"]);
  expect(seccompProfile("arm64").architectures).toEqual(["SCMP_ARCH_AARCH64"]);
});

it("lies in a file for Podman, whole whoever asks at once, and again when it was removed; Docker gets its content", async () => {
  const directory = await mkdtemp(join(tmpdir(), "classmind-seccomp-"));
  const seccomp = openSeccomp(directory);
  const options = await Promise.all(Array.from({ length: 20 }, () => seccomp.option(true)));
  const [option = ""] = options;
  expect(new Set(options).size).toBe(1);
  const file = option.replace("seccomp=", "");
  expect(JSON.parse(await readFile(file, "utf8"))).toEqual(JSON.parse(JSON.stringify(seccompProfile())));
  await rm(file);
  await seccomp.option(true);
  expect(await readFile(file, "utf8")).toContain("SCMP_ACT_ERRNO");
  expect(JSON.parse((await seccomp.option(false)).replace("seccomp=", ""))).toMatchObject({ defaultErrnoRet: 1 });
  await rm(directory, { recursive: true });
});

it("a call counts as refused only where the kernel refused to look at it", () => {
  const [unshare] = KERNEL_CALLS;
  if (unshare === undefined) throw new Error("no calls");
  const [EPERM, EFAULT, EINVAL, ENOSPC, ENOSYS] = [1, 14, 22, 28, 38];
  expect([EPERM, ENOSYS, ENOSPC].map((errno) => outcomeOf(unshare, -1, errno))).toEqual(Array(3).fill("blocked"));
  expect([EFAULT, EINVAL].map((errno) => outcomeOf(unshare, -1, errno))).toEqual(Array(2).fill("reached"));
  expect(outcomeOf(unshare, 0, 0)).toBe("reached");
  const clone3 = KERNEL_CALLS.find(({ name }) => name === "clone3");
  expect(clone3 && outcomeOf(clone3, -1, ENOSPC)).toBe("reached");
});
