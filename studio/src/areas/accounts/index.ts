import { Users } from '@lucide/vue'

import { defineArea } from '@/areas'

export default defineArea({
  name: 'accounts',
  title: { en: 'Accounts', zh: '账户' },
  icon: Users,
  order: 12,
  load: () => import('./Accounts.vue'),
})
