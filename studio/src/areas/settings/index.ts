import { Settings2 } from '@lucide/vue'

import { defineArea } from '@/areas'

export default defineArea({
  name: 'settings',
  title: { en: 'Settings', zh: '设置' },
  icon: Settings2,
  order: 10,
  admin: true,
  load: () => import('./Settings.vue'),
})
