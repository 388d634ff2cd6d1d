import './design/tokens.css'
import './design/base.css'

import { createPinia } from 'pinia'
import { createApp } from 'vue'

import App from './App.vue'
import { router } from './router'
import { i18n } from './text/words'
import { complain } from './ui/notes'

const app = createApp(App)
app.use(createPinia()).use(i18n).use(router)
app.config.errorHandler = (error) => {
  console.error(error)
  complain(error)
}
router.onError(complain)
app.mount('#studio')
