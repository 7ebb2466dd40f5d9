import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createMemoryBroker } from '../../src/approval/index.js'
import { createPostgresAnalyzer } from '../../src/analysis/sql/postgres/index.js'
import { Secret, type Resource, type Subject } from '../../src/core/index.js'
import { createEnforcer } from '../../src/enforcement/index.js'
import { system, targetTransport } from '../../src/gateway/index.js'
import { createMasking } from '../../src/masking/index.js'
import { loadPolicy } from '../../src/policy/index.js'
import { postgres } from '../../src/protocols/postgres/index.js'
import {
  createRecorder,
  formatEntry,
  MemoryRecordStore,
  replayRecording,
  verifyRecording,
} from '../../src/recording/index.js'
import { createPostgresCatalog, guardedStream, housekeepingSession } from '../../src/streams/index.js'
import { startDemoDatabase } from '../gateway/database.js'
import { runAgent } from './agent.js'

const RESOURCE: Resource = { name: 'shop', protocol: 'postgres' }
const AGENT: Subject = { id: 'planner-executor', type: 'agent', groups: ['agents'], onBehalfOf: 'alice' }
const PERSON: Subject = { id: 'bob', type: 'human', groups: ['data-owners'] }

/** The host of an agent: it holds the password and the policy, and hands the agent a stream. */
async function main(): Promise<void> {
  // The database is stopped on the way out.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(130))
  say('host', 'starting an embedded PostgreSQL (a few seconds)')
  const database = await startDemoDatabase({ dataDir: undefined, isKept: false })

  const policyFile = join(import.meta.dirname, '../gateway/policy.yaml')
  const broker = createMemoryBroker(system)
  const store = new MemoryRecordStore()
  const analyzer = await createPostgresAnalyzer()
  const enforcer = createEnforcer({
    ...system,
    policy: loadPolicy(readFileSync(policyFile, 'utf8'), { fileName: 'policy.yaml' }),
    analyzers: { postgres: analyzer },
    masking: createMasking({ key: new Secret(randomBytes(32)) }),
    recorder: createRecorder({ ...system, store }),
    broker,
  })

  // A person would read this in a chat or a queue. Here one is played by four lines.
  broker.events.on('requested', (hold) => {
    say('person', `asked to approve: ${hold.display}`)
    setTimeout(() => {
      const answer = broker.approve(hold.id, PERSON)
      say('person', answer.ok ? 'approved' : answer.refusal.message)
    }, 300)
  })

  const protocol = postgres()
  const target = targetTransport({ host: database.host, port: database.port })
  const credentials = { user: database.user, password: new Secret(database.password) }
  const catalog = createPostgresCatalog({
    user: 'catalogue',
    database: database.database,
    clock: system.clock,
    analyzer,
    open: () => guardedStream({ protocol, session: housekeepingSession(RESOURCE, analyzer), ...target, credentials }),
  })

  const stream = guardedStream({
    protocol,
    enforcer,
    subject: AGENT,
    resource: RESOURCE,
    ...target,
    credentials,
    catalog,
  })
  await runAgent({ database: database.database, connect: () => stream, say: (line) => say('agent', line) })
  await stream.driver.finished
  catalog.close()

  for (const name of await store.list()) {
    const verified = await verifyRecording(store.read(name))
    say('record', verified.ok ? 'the record verifies' : 'the record does NOT verify')
    for await (const entry of replayRecording(store.read(name))) {
      if (entry.event?.['type'] !== 'output') say('record', formatEntry(entry).join('\n'))
    }
  }
  await database.stop()
}

function say(who: string, text: string): void {
  for (const line of text.split('\n')) process.stdout.write(`${who.padEnd(7)} ${line}\n`)
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    console.error(error)
    process.exit(1)
  },
)
