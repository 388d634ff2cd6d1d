import { Brush } from '@lucide/vue'

import { defineArea } from '@/areas'

export default defineArea({
  name: 'create',
  title: { en: 'Create', zh: '创作' },
  icon: Brush,
  order: 1,
  main: true,
  load: () => import('./Create.vue'),
})
