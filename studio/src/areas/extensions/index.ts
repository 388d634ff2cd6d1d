import { Blocks } from '@lucide/vue'

import { defineArea } from '@/areas'

export default defineArea({
  name: 'extensions',
  title: { en: 'Extensions', zh: '扩展' },
  icon: Blocks,
  order: 13,
  load: () => import('./Extensions.vue'),
})
