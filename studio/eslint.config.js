import js from '@eslint/js'
import vue from 'eslint-plugin-vue'
import globals from 'globals'
import ts from 'typescript-eslint'

export default ts.config(
  { ignores: ['dist', 'src/api/schema.d.ts'] },
  js.configs.recommended,
  ...ts.configs.recommended,
  ...vue.configs['flat/recommended'],
  {
    languageOptions: { globals: { ...globals.browser } },
    rules: {
      'vue/no-v-html': 'error', // text of strangers is inert
      'no-restricted-properties': [
        'error',
        ...['innerHTML', 'outerHTML', 'insertAdjacentHTML'].map((property) => ({ property })),
        { object: 'crypto', property: 'randomUUID', message: 'not there over http from another machine: newKey() of @/api/client' },
      ],
      'no-restricted-globals': ['error', { name: 'fetch', message: 'calls go through @/api/client' }],
      'vue/multi-word-component-names': 'off',
      'vue/require-default-prop': 'off', // TypeScript's optional props say it
      'vue/max-attributes-per-line': 'off',
      'vue/singleline-html-element-content-newline': 'off',
      'vue/html-self-closing': ['error', { html: { void: 'always', normal: 'always', component: 'always' } }],
      'vue/html-indent': 'off',
      'vue/html-closing-bracket-newline': 'off',
    },
  },
  { files: ['**/*.vue'], languageOptions: { parserOptions: { parser: ts.parser } } },
  { files: ['scripts/**', '*.config.*'], languageOptions: { globals: { ...globals.node } } },
  { files: ['src/api/client.ts', 'scripts/**'], rules: { 'no-restricted-globals': 'off' } },
)
