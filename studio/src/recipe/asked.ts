// A recipe as it is put together on a page becomes one that the server takes.
import { less } from './lists'

type Fields = Readonly<Record<string, unknown>>

const OF_START = ['init', 'mask', 'inpaint', 'outpaint', 'inversion', 'strength', 'resize', 'init_upscaler', 'match_colours', 'exact_steps']
const LISTS = ['controls', 'image_prompts', 'networks', 'boxes'] // whose entries can be put aside

/** Without what is put aside, what needs a start picture where there is none, and what `known` has not. */
export function asked(fields: Fields, known?: Fields): Record<string, unknown> {
  const recipe: Record<string, unknown> = Object.fromEntries(Object.entries(fields).filter(([name]) => !known || name in known))
  for (const name of LISTS) if (recipe[name]) recipe[name] = used(recipe[name])
  if (!(recipe.boxes as unknown[] | undefined)?.length) delete recipe.gligen // it heeds nothing else
  const regional = recipe.regional as { regions?: unknown } | undefined
  if (regional) recipe.regional = { ...regional, regions: used(regional.regions) }
  if (recipe.init) {
    recipe.strength ??= 0.75
    delete recipe.hires // a second pass follows pictures made from noise
  } else for (const name of OF_START) delete recipe[name]
  return recipe
}

/** The entries of a list that are not put aside; `off` is the page's own. */
function used(all: unknown): unknown {
  if (!Array.isArray(all)) return all
  return (all as Fields[]).filter((one) => !one.off).map((one) => less(one, 'off'))
}
