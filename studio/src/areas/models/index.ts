import { Boxes } from '@lucide/vue'

import { defineArea } from '@/areas'

export default defineArea({
  name: 'models',
  title: { en: 'Models', zh: '模型' },
  icon: Boxes,
  order: 6,
  load: () => import('./Models.vue'),
})
