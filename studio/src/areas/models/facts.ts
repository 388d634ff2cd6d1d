// What a card of a model file says of it, as lines; what is not known is left out.
import type { Schemas } from '@/api/client'
import { familyOf } from '@/recipe/families'
import { size } from '@/recipe/shelf'
import { either, momentOf } from '@/text/words'

type Card = Schemas['ModelCard']
type Key = 'family' | 'holds' | 'prediction' | 'parameters' | 'dtypes' | 'size' | 'base' | 'author' | 'source' | 'file' | 'created' | 'changed' | 'hash' | 'short' | 'tensors' | 'old'

export interface Fact {
  key: Key
  value: string
}

export function facts(card: Card): Fact[] {
  const all: [Key, string | 0 | null | undefined][] = [
    ['family', card.family && familyOf(card.family)],
    ['holds', card.holds && saidOf(HOLDS, card.holds)],
    ['prediction', card.prediction && saidOf(PREDICTIONS, card.prediction)],
    ['parameters', card.parameters ? many(card.parameters) : ''],
    ['dtypes', card.dtypes.join(', ')],
    ['size', size(card.size)],
    ['base', card.base],
    ['author', card.author],
    ['source', card.source],
    ['file', `${card.kind}/${card.file}`],
    ['created', card.created && momentOf(card.created)],
    ['changed', card.changed && momentOf(card.changed)],
    ['short', card.short_hash],
    ['tensors', card.tensors_hash],
    ['old', card.old_hash],
    ['hash', card.sha256],
  ]
  return all.flatMap(([key, value]) => (value ? [{ key, value }] : []))
}

// what a file can hold and how a model can predict, as the server calls them
const HOLDS: Readonly<Record<string, readonly [string, string]>> = {
  checkpoint: ['Checkpoint', '大模型（checkpoint）'],
  VAE: ['Autoencoder (VAE)', 'VAE'],
  'U-Net': ['U-Net', 'U-Net'],
  "U-Net with diffusers' names": ["U-Net with diffusers' names", 'U-Net（diffusers 命名）'],
  'text encoder': ['Text encoder', '文本编码器'],
  embedding: ['Embedding', '嵌入（Embedding）'],
  hypernetwork: ['Hypernetwork', '超网络'],
  upscaler: ['Upscaler', '放大模型'],
  unknown: ['Not known', '未知'],
}
const PREDICTIONS: Readonly<Record<string, readonly [string, string]>> = {
  eps: ['Noise (eps)', '噪声（eps）'],
  v: ['Velocity (v)', '速度（v）'],
  edm: ['Denoised (EDM)', '去噪结果（EDM）'],
}

function saidOf(all: Readonly<Record<string, readonly [string, string]>>, name: string): string {
  const [en, zh] = all[name] ?? [name, name]
  return either(en, zh)
}

/** Numbers as people say them: 860 million. */
function many(count: number): string {
  return new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 3 }).format(count)
}

/** What puts it into a prompt, if anything does. */
export function tagOf(card: Card): string {
  if (card.kind === 'loras') return `<lora:${card.name}:${card.weight ?? 1}>`
  if (card.kind === 'hypernetworks') return `<hypernet:${card.name}:${card.weight ?? 1}>`
  return card.kind === 'embeddings' ? card.name : ''
}

/** What weights can be written as. */
export const DTYPES = [
  { value: 'fp16', label: 'fp16' },
  { value: 'bf16', label: 'bf16' },
  { value: 'fp32', label: 'fp32' },
  { value: 'fp8', label: 'fp8' },
]
export const GGUF = ['f16', 'q8_0', 'q5_1', 'q5_0', 'q4_1', 'q4_0'].map((value) => ({ value, label: value }))

/** How a model that is made is to be written. */
export interface Written {
  out: string
  dtype: string
  ema: boolean
  replace: boolean
}
export const written = (): Written => ({ out: '', dtype: 'fp16', ema: false, replace: false })
