import { Grid3x3 } from '@lucide/vue'

import { defineArea } from '@/areas'

export default defineArea({
  name: 'grids',
  title: { en: 'Grids', zh: '图表' },
  icon: Grid3x3,
  order: 7,
  load: () => import('./Grids.vue'),
})
