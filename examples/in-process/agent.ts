import type { Duplex } from 'node:stream'
import pg from 'pg'

/** All that the agent gets. There is no password here, and nothing to read one from. */
export interface AgentTools {
  readonly database: string
  connect(): Duplex
  say(line: string): void
}

interface Step {
  readonly thought: string
  readonly text: string
  readonly values?: readonly unknown[]
}

/** What a model would plan, written down. */
const PLAN: readonly Step[] = [
  {
    thought: 'I need to know whom order 6 belongs to.',
    text: 'select c.name, c.email, c.ssn, o.item, o.status from orders o join customers c on c.id = o.customer_id where o.id = $1',
    values: [6],
  },
  {
    thought: 'The customer has paid, I mark the order.',
    text: 'update orders set status = $1 where id = $2 returning id, status',
    values: ['paid', 6],
  },
  { thought: 'I tidy up what is no longer needed.', text: 'delete from orders' },
  { thought: 'I check that the orders are still there.', text: 'select count(*)::int as orders from orders' },
]

/** Plans, executes, looks at what came of it, goes on. A refusal is an answer like any other. */
export async function runAgent({ database, connect, say }: AgentTools): Promise<void> {
  const client = new pg.Client({ user: 'agent', database, stream: connect })
  client.on('notice', (notice) => say(`  told: ${notice.message}`))
  await client.connect()
  for (const { thought, text, values } of PLAN) {
    say(`thinks: ${thought}`)
    say(`  runs: ${text}${values === undefined ? '' : ` with ${JSON.stringify(values)}`}`)
    try {
      const { rows } = await client.query(text, values === undefined ? [] : [...values])
      say(`  gets: ${JSON.stringify(rows)}`)
    } catch (error) {
      const { message, code, hint } = error as Error & { code?: string; hint?: string }
      say(`  refused: ${message} (${code}${hint === undefined ? '' : `; ${hint}`})`)
    }
  }
  await client.end()
}
