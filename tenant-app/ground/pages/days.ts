/** A day as people in Germany write it: 2026-09-01 is 01.09.2026. What is no day (yet) stays as it is. */
export const germanDay = (iso: string): string => iso.replace(/^(\d{4})-(\d{2})-(\d{2})$/, "$3.$2.$1");
