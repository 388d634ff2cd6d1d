// Addresses live behind the #: the server has routes of its own, such as ComfyUI's /queue, and needs none for the page.
import { createRouter, createWebHashHistory } from 'vue-router'

import { areas } from './areas'
import { mayLeave } from './ui/leaving'

export const router = createRouter({
  history: createWebHashHistory(),
  routes: [
    { path: '/', redirect: `/${areas[0]?.name ?? 'create'}` },
    ...areas.map((area) => ({
      path: `/${area.name}`,
      alias: (area.below ?? []).slice(),
      name: area.name,
      component: area.load,
    })),
    { path: '/:rest(.*)*', component: () => import('./Nowhere.vue') },
  ],
})

// addresses of one area are shown by one component, which loses nothing
router.beforeEach((to, from) => to.name === from.name || mayLeave())

// vue-router hears of other addresses only once the first area has come: one that is asked for before that is gone to then
let asked: string | null = null
const heard = (): void => void (asked = location.hash.slice(1))
addEventListener('popstate', heard)
void router
  .isReady()
  .catch(() => undefined) // onError tells
  .then(() => {
    removeEventListener('popstate', heard)
    if (asked !== null) return router.replace(asked || '/')
  })
