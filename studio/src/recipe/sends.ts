// What can be made of a picture in Create: the queries that Create is opened with, and their names.
import { Brush, Expand, ImagePlus, Layers, Palette, Sparkles, Waypoints } from '@lucide/vue'
import { shallowRef, type Component } from 'vue'

import { t } from '@/text/forms'

import { nameOf } from './names'

/** What is done with it at once; a start picture and no more where it is left out. */
export type Next = 'mask' | 'sketch' | 'outpaint' | 'hires' | 'controls' | 'image_prompts'

export interface Send {
  label: string
  icon: Component
  to: { path: string; query: Record<string, string> }
}

/** A recipe that is no picture's of the gallery; Create takes it when it is opened. */
export const handed = shallowRef<Record<string, unknown> | null>(null)

/** Of a picture of the gallery (`start`), or of one that was sent (`image`, its SHA-256). `recipe`: only with it a second pass can follow. */
export function sends(picture: { start: string } | { image: string }, recipe: Readonly<Record<string, unknown>> | null = null): Send[] {
  const one = (label: string, icon: Component, next?: Next): Send => ({ label, icon, to: { path: '/create', query: { ...picture, ...(next ? { next } : {}) } } })
  return [
    one(t('send.start'), ImagePlus),
    one(t('send.mask'), Brush, 'mask'),
    one(t('send.sketch'), Palette, 'sketch'),
    one(t('send.outpaint'), Expand, 'outpaint'),
    ...(recipe && !recipe.init && 'start' in picture ? [one(t('send.hires'), Sparkles, 'hires')] : []),
    one(nameOf('controls'), Waypoints, 'controls'),
    one(nameOf('image_prompts'), Layers, 'image_prompts'),
  ]
}
