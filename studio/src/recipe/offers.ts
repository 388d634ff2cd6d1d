// What a text field of a recipe can be chosen from: models on the server's shelves, and names of its catalogue.
import { either } from '@/text/words'

import { type ModelCard, useCatalogue } from './catalogue'
import { familyOf } from './families'
import { choiceOf } from './names'
import { preprocessorOf } from './preprocessors'
import { shape } from './schema'

type Kind = ModelCard['kind']

const MODELS: readonly [RegExp, readonly Kind[]][] = [
  [/^(model|refiner\.model)$/, ['checkpoints']],
  [/^unet\.name$/, ['diffusion_models', 'checkpoints']],
  [/^text_encoders\[\]\.name$/, ['text_encoders', 'checkpoints']],
  [/^vae\.name$/, ['vae', 'checkpoints']],
  [/^networks\[\]\.name$/, ['loras', 'hypernetworks']],
  [/^controls\[\]\.model$/, ['controlnet', 't2i_adapter']],
  [/^image_prompts\[\]\.model$/, ['ipadapter', 'style_models']],
  [/^image_prompts\[\]\.vision$/, ['clip_vision']],
  [/^gligen\.model$/, ['gligen']],
  [/^restore_faces\.model$/, ['face_restore']],
]

export interface Offered {
  value: string
  label: string
}

/** The shelves that the field at a path chooses from; none where it names no model. */
export function shelvesOf(path: string): readonly Kind[] {
  return MODELS.find(([pattern]) => pattern.test(path))?.[1] ?? []
}

/** What can be chosen at a path; null where anything can be typed. */
export function offersOf(path: string): Offered[] | null {
  const catalogue = useCatalogue()
  const shelves = shelvesOf(path)
  if (shelves.length)
    return shelves.flatMap((kind) => catalogue.ofKind(kind).map((card) => ({ value: card.name, label: card.family ? `${card.name} · ${familyOf(card.family)}` : card.name })))
  const { found } = catalogue
  if (!found) return null
  const labelled = (all: readonly { name: string; label: string }[]) => all.map(({ name, label }) => ({ value: name, label }))
  switch (path.split('.').pop()) {
    case 'sampler':
      return labelled(found.samplers)
    case 'schedule':
      return path.includes('[]') ? null : labelled(found.schedules)
    case 'upscaler':
    case 'init_upscaler':
      return labelled(path === 'init_upscaler' ? found.upscalers.filter((one) => !one.latent) : found.upscalers)
    case 'preprocessor':
      return found.preprocessors.map((one) => ({ value: one.name, label: preprocessorOf(one) }))
    case 'estimator':
      return labelled(found.preprocessors.filter((one) => one.control_type === 'depth'))
    case 'profile':
      return found.profiles.map((one) => ({ value: one.name, label: one.title }))
    default:
      return null
  }
}

/** A text of a recipe as its field shows it: the label of a sampler, the name of a choice; what people typed stays as it is. */
export function saidOf(path: string, value: string): string {
  const schema = useCatalogue().schemaOf(path)
  if (schema && shape(schema).kind === 'choice') return choiceOf(path, value)
  return shelvesOf(path).length ? value : (offersOf(path)?.find((one) => one.value === value)?.label ?? value)
}

/** What is to be said where a shelf is empty. */
export function emptyShelf(path: string): string {
  const folder = shelvesOf(path)[0]
  return folder ? either(`Nothing there yet: put files into models/${folder}, or see Models.`, `还没有文件：放进 models/${folder}，或看“模型”页。`) : ''
}
