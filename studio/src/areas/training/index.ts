import { GraduationCap } from '@lucide/vue'

import { defineArea } from '@/areas'

export default defineArea({
  name: 'training',
  title: { en: 'Training', zh: '训练' },
  icon: GraduationCap,
  order: 9,
  admin: true,
  load: () => import('./Training.vue'),
})
