import { Images } from '@lucide/vue'

import { defineArea } from '@/areas'

export default defineArea({
  name: 'gallery',
  title: { en: 'Gallery', zh: '图库' },
  icon: Images,
  order: 4,
  main: true,
  below: ['/gallery/:picture'],
  load: () => import('./Gallery.vue'),
})
