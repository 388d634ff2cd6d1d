import { ListOrdered } from '@lucide/vue'

import { defineArea } from '@/areas'

export default defineArea({
  name: 'queue',
  title: { en: 'Queue', zh: '队列' },
  icon: ListOrdered,
  order: 5,
  main: true,
  load: () => import('./Queue.vue'),
})
