import { WandSparkles } from '@lucide/vue'

import { defineArea } from '@/areas'

export default defineArea({
  name: 'extras',
  title: { en: 'Extras', zh: '附加功能' },
  icon: WandSparkles,
  order: 8,
  load: () => import('./Extras.vue'),
})
