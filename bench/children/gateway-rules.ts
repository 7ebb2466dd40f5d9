import { DETECTOR_NAMES } from '../../src/masking/index.js'
import type { Rule } from '../../src/policy/index.js'

/** Who asks decides what is masked, so that one gateway and one table serve every comparison. */
export const USERS = { open: 'open', masked: 'masked', hashed: 'hashed', detected: 'detected' } as const

const TEXT_PATTERNS = [
  String.raw`\bpg_sleep\b`,
  String.raw`\bpg_read_(?:binary_)?file\b`,
  String.raw`\blo_(?:import|export)\b`,
  String.raw`\bdblink(?:_exec)?\b`,
  String.raw`into\s+outfile`,
  String.raw`\bxp_cmdshell\b`,
  String.raw`union\s+all\s+select\s+null`,
  String.raw`;\s*drop\s+table`,
  String.raw`\bor\s+1\s*=\s*1\b`,
  String.raw`information_schema\.(?:tables|columns)`,
]

const VERBS = ['select', 'insert', 'update', 'delete'] as const

/**
 * A policy as a company might grow it: a few permissions, prohibitions by text, masks, and mostly rules about
 * single tables. Masks are armed for every session; the columns that pgbench reads are not among them.
 */
export function fullPolicy(count: number): readonly Rule[] {
  const rules: Rule[] = [
    { id: 'allow/bench', effect: 'allow', match: { classes: 'read', tables: ['pgbench_*', 'people', 'pg_catalog.*'] } },
    {
      id: 'allow/session',
      effect: 'allow',
      match: { classes: ['read', 'session', 'transaction'], not: { tables: '*' } },
    },
    {
      id: 'mask/customers',
      mask: {
        columns: [
          { column: 'customers.ssn', strategy: { kind: 'partial', keepLast: 4 } },
          { column: 'customers.card', strategy: { kind: 'partial', keepLast: 4 } },
          { column: 'customers.email', strategy: 'hash' },
        ],
      },
    },
    {
      id: 'mask/customers-texts',
      match: { tables: 'customers' },
      mask: { detectors: [...DETECTOR_NAMES] },
    },
    {
      id: 'mask/people',
      match: { subjects: USERS.masked },
      mask: {
        columns: [
          { column: 'people.name', strategy: 'redact' },
          { column: 'people.card', strategy: { kind: 'partial', keepLast: 4 } },
          { column: 'people.email', strategy: { kind: 'partial', keepFirst: 2 } },
        ],
      },
    },
    {
      id: 'mask/people-hashed',
      match: { subjects: USERS.hashed },
      mask: { columns: ['name', 'card', 'email'].map((name) => ({ column: `people.${name}`, strategy: 'hash' })) },
    },
    { id: 'mask/people-texts', match: { subjects: USERS.detected }, mask: { detectors: [...DETECTOR_NAMES] } },
    ...TEXT_PATTERNS.map((text, index): Rule => ({ id: `deny/text-${index}`, effect: 'deny', match: { text } })),
  ]
  for (let index = 0; rules.length < count; index++) {
    const verbs = VERBS[index % VERBS.length] ?? 'select'
    const tables = `table_${Math.floor(index / VERBS.length)}`
    rules.push({
      id: `table/${tables}-${verbs}`,
      effect: verbs === 'delete' ? 'deny' : 'allow',
      match: { verbs, tables },
    })
  }
  return rules
}
