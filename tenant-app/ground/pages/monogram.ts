const kinds = /(schule|gymnasium|kolleg|internat|akademie|zentrum)$/i;
const fillers = new Set(["der", "die", "das", "am", "an", "im", "in", "zu", "zum", "zur", "von", "und", "für", "bei"]);

/** One or two capital letters for a school's name: „Goethe-Gymnasium Kassel" becomes GG, „Schiller" becomes S. */
export function monogram(schoolName: string): string {
  const words = schoolName.split(/[^\p{L}]+/u).filter((word) => word !== "" && !fillers.has(word.toLowerCase()));
  const first = words[0];
  const second = words.slice(1).find((word) => kinds.test(word)) ?? words[1];
  const letters = [first, second].map((word) => (word ? [...word][0]?.toUpperCase() : "") ?? "").join("");
  return letters || "S";
}
