import type { InventedPerson, InventedSchool } from "../../ground/generator/invented.ts";

const faecher = [
  ["Deutsch", "D"],
  ["Mathematik", "M"],
  ["Englisch", "E"],
  ["Biologie", "Bio"],
  ["Geschichte", "G"],
  ["Erdkunde", "Ek"],
  ["Kunst", "Ku"],
  ["Musik", "Mu"],
  ["Sport", "Spo"],
] as const;
const proKlasse = 26;
const zuege = 4;

/** The year that runs now, with classes of pupils, and for each class a course in each subject. */
export async function erfindeStruktur(school: InventedSchool): Promise<void> {
  const { tx, now, people, random } = school;
  const year = now.getUTCFullYear() - (now.getUTCMonth() < 7 ? 1 : 0);
  const [von, bis] = [`${year}-08-01`, `${year + 1}-07-31`];
  const jahr = random.uuid();
  await tx.run("INSERT INTO schuljahr (id, name, von, bis, zweites_halbjahr_ab) VALUES ($1, $2, $3, $4, $5)", [
    jahr,
    `${year}/${String(year + 1).slice(2)}`,
    von,
    bis,
    `${year + 1}-02-01`,
  ]);
  const subjects = faecher.map(([name, kuerzel]) => ({ id: random.uuid(), name, kuerzel }));
  const pupils = people.filter(({ kind }) => kind === "pupil");
  const teachers = people.filter(({ kind }) => kind === "teacher");
  const classes = Array.from({ length: Math.ceil(pupils.length / proKlasse) }, (_, index) => ({
    id: random.uuid(),
    name: `${5 + Math.floor(index / zuege)}${String.fromCharCode(97 + (index % zuege))}`,
    members: pupils.slice(index * proKlasse, (index + 1) * proKlasse),
  }));
  const courses = classes.flatMap(({ name, members }) =>
    subjects.map((subject) => ({ id: random.uuid(), fach_id: subject.id, name: `${subject.name} ${name}`, members })),
  );
  const belongs = (zu: string, who: readonly InventedPerson[]) =>
    who.map(({ id }) => ({ id: random.uuid(), zu, person_id: id }));
  const rows = (list: readonly object[]) => JSON.stringify(list);
  await tx.run(
    `INSERT INTO fach (id, kuerzel, name)
     SELECT x.id, x.kuerzel, x.name FROM json_to_recordset($1::json) AS x (id uuid, kuerzel text, name text)`,
    [rows(subjects)],
  );
  await tx.run(
    `INSERT INTO klasse (id, schuljahr_id, name)
     SELECT x.id, $2, x.name FROM json_to_recordset($1::json) AS x (id uuid, name text)`,
    [rows(classes.map(({ id, name }) => ({ id, name }))), jahr],
  );
  await tx.run(
    `INSERT INTO kurs (id, schuljahr_id, fach_id, name)
     SELECT x.id, $2, x.fach_id, x.name FROM json_to_recordset($1::json) AS x (id uuid, fach_id uuid, name text)`,
    [rows(courses.map(({ id, fach_id, name }) => ({ id, fach_id, name }))), jahr],
  );
  const taught = <T extends { readonly id: string }>(list: readonly T[]) =>
    teachers.length === 0 ? [] : list.flatMap(({ id }) => belongs(id, [random.pick(teachers)]));
  for (const [tabelle, zu, list] of [
    ["klassenmitglied", "klasse_id", classes.flatMap(({ id, members }) => belongs(id, members))],
    ["klassenleitung", "klasse_id", taught(classes)],
    ["unterrichtsauftrag", "kurs_id", taught(courses)],
    ["einschreibung", "kurs_id", courses.flatMap(({ id, members }) => belongs(id, members))],
  ] as const) {
    await tx.run(
      `INSERT INTO ${tabelle} (id, ${zu}, person_id, gueltig)
       SELECT x.id, x.zu, x.person_id, daterange($2, $3, '[]')
         FROM json_to_recordset($1::json) AS x (id uuid, zu uuid, person_id uuid)`,
      [rows(list), von, bis],
    );
  }
}
