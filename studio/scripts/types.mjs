// The types of the server's answers, from its own schema: src/api/schema.d.ts. FROMNOISE_PYTHON names the Python to ask.
import { execFileSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import openapi, { astToString } from 'openapi-typescript'

const root = fileURLToPath(new URL('../..', import.meta.url))
const own = ['.venv/bin/python', '.venv/Scripts/python.exe'].map((path) => root + path).find(existsSync)
const python = process.env.FROMNOISE_PYTHON ?? own ?? 'python3'
const schema = execFileSync(python, ['-m', 'fromnoise.server.openapi', '--native'], {
  encoding: 'utf8',
  maxBuffer: 64 << 20,
  env: { ...process.env, PYTHONPATH: root + 'src', PYTHONUTF8: '1' },
})
const types = astToString(await openapi(JSON.parse(schema), { alphabetize: true, defaultNonNullable: false }))
writeFileSync(fileURLToPath(new URL('../src/api/schema.d.ts', import.meta.url)), types)
