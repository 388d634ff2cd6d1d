// The JSON schema of a recipe, as far as a form needs it.
export interface Schema {
  type?: string
  title?: string
  default?: unknown
  enum?: unknown[]
  minimum?: number
  maximum?: number
  minItems?: number
  maxItems?: number
  additionalProperties?: Schema | boolean
  anyOf?: Schema[]
  items?: Schema
  prefixItems?: Schema[]
  properties?: Record<string, Schema>
  required?: string[]
  $ref?: string
  $defs?: Record<string, Schema>
}

export type Kind = 'number' | 'integer' | 'boolean' | 'text' | 'choice' | 'part' | 'picture' | 'list' | 'numbers' | 'table' | 'other'

export interface Shape {
  kind: Kind
  schema: Schema
  optional: boolean // null is a value
}

/** The schema of the field at a path such as 'hires.strength' or 'controls[].weight', with the recipe's definitions. */
export function part(recipe: Schema, path: string): Schema | null {
  let at: Schema | undefined = recipe
  for (const name of path.split('.')) {
    const plain = name.replace('[]', '')
    at = shape({ ...at, $defs: recipe.$defs }).schema.properties?.[plain]
    if (plain !== name) at = at && shape({ ...at, $defs: recipe.$defs }).schema.items
    if (!at) return null
  }
  return { ...at, $defs: recipe.$defs }
}

/** What kind of control a field needs. */
export function shape(field: Schema): Shape {
  const defs = field.$defs
  const choices = field.anyOf ?? [field]
  const optional = choices.some((one) => one.type === 'null')
  const real = choices.filter((one) => one.type !== 'null').map((one) => resolved(one, defs))
  const only = real.length === 1 ? real[0]! : null
  const schema: Schema = { ...only, default: field.default, $defs: defs }
  return { kind: only ? kindOf(only) : 'other', schema, optional }
}

function resolved(one: Schema, defs: Record<string, Schema> | undefined): Schema {
  const name = one.$ref?.split('/').pop()
  return (name && defs?.[name]) || one
}

function kindOf(one: Schema): Kind {
  if (one.enum) return 'choice'
  if (one.properties) return isPicture(one) ? 'picture' : 'part'
  switch (one.type) {
    case 'number':
    case 'integer':
    case 'boolean':
      return one.type
    case 'string':
      return 'text'
    case 'array':
      return one.prefixItems ? 'numbers' : one.items ? 'list' : 'other'
    case 'object':
      return one.additionalProperties ? 'table' : 'other'
    default:
      return 'other'
  }
}

/** Whether it names a picture that was sent. */
export function isPicture(one: Schema): boolean {
  return one.properties !== undefined && Object.keys(one.properties).sort().join() === 'path,sha256'
}

/** What a new part begins with: its fields' defaults, without those that are null. */
export function fresh(schema: Schema): Record<string, unknown> {
  const fields = Object.entries(schema.properties ?? {})
  return Object.fromEntries(fields.filter(([, one]) => one.default !== undefined && one.default !== null).map(([name, one]) => [name, one.default]))
}

/** 'guidance_scale' as 'Guidance scale'. */
export function worded(name: string): string {
  const words = name.replace(/_/g, ' ')
  return words[0]!.toUpperCase() + words.slice(1)
}
