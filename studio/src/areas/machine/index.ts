import { Cpu } from '@lucide/vue'

import { defineArea } from '@/areas'

export default defineArea({
  name: 'machine',
  title: { en: 'Machine', zh: '机器' },
  icon: Cpu,
  order: 11,
  admin: true,
  load: () => import('./Machine.vue'),
})
