// What other areas send here, by the address: `#/create?recipe=PICTURE` and `?start=PICTURE` of the gallery, `?image=SHA-256` of what was
// sent, these two with `&next=` (recipe/sends); `?add=TAG`, `?model=NAME` and `?control=NAME`, what was trained; `?prompt=WORDS`; or a recipe that was handed over.
import type { LocationQuery } from 'vue-router'

import { api, call, pictureAt, sendImage } from '@/api/client'
import { useCatalogue } from '@/recipe/catalogue'
import { nameOf } from '@/recipe/names'
import { handed, type Next } from '@/recipe/sends'

import { type SentPicture, useDraft } from './draft'
import { t } from './texts'

export const SECOND_PASS = { scale: 2, upscaler: 'latent', strength: 0.5 } as const

/** Take it into the draft; what is to be told of that, often nothing. Throws a Problem. */
export async function arrive(query: LocationQuery): Promise<string> {
  const store = useDraft()
  const { draft } = store
  const catalogue = useCatalogue()
  const { recipe, start, image, add, prompt, model, control } = query
  const next = query.next as Next | undefined

  if (add ?? model ?? control) await Promise.all([catalogue.load(), catalogue.loadModels()]) // it is newer than what the page knows
  if (typeof add === 'string' && !draft.recipe.prompt?.includes(add)) draft.recipe.prompt = [draft.recipe.prompt, add].filter(Boolean).join(', ')
  if (typeof prompt === 'string') draft.recipe.prompt = prompt
  if (typeof model === 'string') store.choose(model)
  if (typeof control === 'string') {
    store.addEntry('controls', { model: control })
    return t('sent', { where: nameOf('controls') })
  }

  const given = handed.value
  handed.value = null
  if (given) await store.takeRecipe(given)
  if (typeof image === 'string') return use(await sendImage(await pictureAt(`/api/v1/images/${image}`)), next)
  const picture = recipe ?? start
  if (typeof picture !== 'string') return ''
  const found = await call(api.GET('/api/v1/gallery/{picture}', { params: { path: { picture } } }))
  const own = (found.recipe ?? { prompt: found.prompt }) as Record<string, unknown>
  if (recipe) await store.takeRecipe(own)
  else if (next !== 'hires') return use(await sendImage(await pictureAt(found.url)), next)
  else {
    await store.takeRecipe({ ...own, hires: own.hires ?? SECOND_PASS })
    return t('deed.hires.done')
  }
  return ''
}

/** Start from a picture, and open what is to be done on it; or put it into a list. */
async function use(picture: SentPicture, next: Next | undefined): Promise<string> {
  const store = useDraft()
  await useCatalogue().load()
  if (next === 'controls' || next === 'image_prompts') {
    store.addPicture(next, picture)
    return t('sent', { where: nameOf(next) })
  }
  await store.begin(picture)
  store.wanted = next === 'mask' || next === 'sketch' || next === 'outpaint' ? next : null
  return ''
}
