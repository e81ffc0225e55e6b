import { describe, expect, it } from "vitest";
import { parseRepository, schoolRepository } from "../../../control-plane/backup/repository.ts";

const UID = "0190a5c8-0000-7000-8000-000000000001";

describe("the address of a backup repository", () => {
  it.each([
    ["sftp:me@box.example.org:/srv/backups", "sftp://me@box.example.org:22//srv/backups", 22],
    ["sftp:me@box.example.org:/srv//backups/./", "sftp://me@box.example.org:22//srv/backups", 22],
    ["sftp:me@box.example.org:backups", "sftp://me@box.example.org:22/backups", 22],
    ["sftp:me@box.example.org:", "sftp://me@box.example.org:22/", 22],
    ["sftp:me@box.example.org:/", "sftp://me@box.example.org:22//", 22],
    ["sftp://me@box.example.org/backups", "sftp://me@box.example.org:22/backups", 22],
    ["sftp://me@box.example.org:23//srv/backups/", "sftp://me@box.example.org:23//srv/backups", 23],
    ["sftp://u123-sub1@box.example.org:23/./classmind", "sftp://u123-sub1@box.example.org:23/classmind", 23],
  ])("over SFTP: %s is %s", (text, address, port) => {
    expect(parseRepository(text)).toEqual({ kind: "sftp", host: "box.example.org", port, address });
  });

  it.each([
    ["rest:https://backup.example.org:8000/", "rest", 8000],
    ["s3:http://s3.example.org:9000/bucket", "s3", 9000],
  ])("over HTTP stays as it is: %s", (address, kind, port) => {
    expect(parseRepository(address)).toMatchObject({ kind, port, address });
  });

  it.each([
    ["sftp:box.example.org:/srv", /which user/],
    ["sftp://box.example.org//srv", /which user/],
    ["sftp:-oProxyCommand=x@box.example.org:/srv", /which user/],
    ["sftp:me@-oProxyCommand=x:/srv", /name of the host/],
    ["sftp:me@Box.example.org:/srv", /lower case/],
    ["sftp://me:secret@box.example.org//srv", /only a key/],
    ["sftp://me@box.example.org:0//srv", /port/],
    ["sftp://me@box.example.org:70000//srv", /port/],
    ["sftp://me@box.example.org:2x//srv", /port/],
    ["sftp:me@box.example.org", /neither/],
    ["sftp:me@box.example.org:~/srv", /leave ~\/ out/],
    ["sftp:me@box.example.org:/srv/../etc", /\.\./],
    ["sftp:me@box.example.org:/my backups", /letters/],
    ["sftp:me@box.example.org:/srv\n/x", /letters/],
    ["sftp://me@box.example.org/a?b", /letters/],
    ["sftp:me@192.0.2.10:/srv", /give the machine a name/],
    ["rest:https://192.0.2.10:8000/", /give the machine a name/],
    ["rest:https://backup.example.org/", /not understood/],
    ["b2:bucket", /not understood/],
  ])("refuses %j, saying why", (text, why) => {
    expect(() => parseRepository(text)).toThrow(why);
  });

  it("never repeats a password that should not be in it", () => {
    expect(() => parseRepository("sftp://me:secret@box.example.org//srv")).toThrow(/^(?!.*secret)/);
  });
});

describe("a school's own repository", () => {
  it.each([
    ["local", "/var/lib/classmind/repository"],
    ["rest:https://backup.example.org:8000/", `rest:https://backup.example.org:8000/${UID}`],
    ["s3:https://s3.example.org:9000/bucket", `s3:https://s3.example.org:9000/bucket/${UID}`],
    ["sftp:me@box.example.org:/srv/backups/", `sftp://me@box.example.org:22//srv/backups/${UID}`],
    ["sftp:me@box.example.org:backups", `sftp://me@box.example.org:22/backups/${UID}`],
    ["sftp:me@box.example.org:", `sftp://me@box.example.org:22/${UID}`],
    ["sftp:me@box.example.org:/", `sftp://me@box.example.org:22//${UID}`],
    ["sftp://me@box.example.org:23//srv", `sftp://me@box.example.org:23//srv/${UID}`],
  ])("of %s is %s", (repository, own) => {
    expect(schoolRepository(repository, UID)).toBe(own);
  });
});
