// Which models and networks fit each other: those of one architecture.
const KINDS = ['sdxl', 'sd1', 'sd2'] as const

/** The architecture of a family such as 'sdxl refiner'; null where it is not known. */
export function architecture(family: string | null | undefined): string | null {
  return KINDS.find((kind) => family?.startsWith(kind)) ?? null
}
