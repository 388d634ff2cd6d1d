import { Cpu } from '@lucide/vue'

import { defineArea } from '@/areas'

export default defineArea({
  name: 'machine',
  title: { en: 'Machine', zh: '机器' },
  icon: Cpu,
  order: 11,
  load: () => import('./Machine.vue'),
})
