import { writeFileSync } from 'node:fs'
import { policyJsonSchema } from '../src/policy/json-schema.js'

// Run with `npx tsx scripts/generate-policy-schema.ts` after changing `src/policy/rule-shape.ts`.
const target = new URL('../schema/policy.schema.json', import.meta.url)
writeFileSync(target, `${JSON.stringify(policyJsonSchema(), null, 2)}\n`)
