import { Footprints } from '@lucide/vue'

import { defineArea } from '@/areas'

export default defineArea({
  name: 'how',
  title: { en: 'How it works', zh: '原理' },
  icon: Footprints,
  order: 3,
  main: true,
  load: () => import('./How.vue'),
})
