// Which models and networks fit each other: those of one architecture.
const KINDS = ['sdxl', 'sd1', 'sd2'] as const

/** The architecture of a family such as 'sdxl refiner'; null where it is not known. */
export function architecture(family: string | null | undefined): string | null {
  return KINDS.find((kind) => family?.startsWith(kind)) ?? null
}

const LABELS: Readonly<Record<string, string>> = { sd1: 'SD 1.x', sd2: 'SD 2.x', sdxl: 'SDXL', sdxl_refiner: 'SDXL Refiner' }

/** A family as people write it; what is not known stays as it is. */
export function familyOf(family: string): string {
  return LABELS[family] ?? family
}

/** The models that an autoencoder is for: SD 1 and 2 share theirs. Empty where its family is not known. */
export function spaceOf(family: string | null | undefined): '' | 'SDXL' | 'SD 1.x / 2.x' {
  const kind = architecture(family)
  return kind === null ? '' : kind === 'sdxl' ? 'SDXL' : 'SD 1.x / 2.x'
}

/** Whether an autoencoder is known to garble the pictures of a model: both families are known, and they differ. */
export function garbles(vae: string | null | undefined, model: string | null | undefined): boolean {
  return spaceOf(vae) !== '' && spaceOf(model) !== '' && spaceOf(vae) !== spaceOf(model)
}
