import * as crypto from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CommandAnswer, SqlFacts } from '../../src/core/index.js'
import { openFileRecordStore, system } from '../../src/gateway/index.js'
import {
  createRecorder,
  GENESIS_HASH,
  verifyRecording,
  type RecordStore,
  type SessionRecorder,
} from '../../src/recording/index.js'
import { atLeast, type Line, type Table } from '../report.js'

const SESSIONS = 8
const PER_TURN = 64

const facts: SqlFacts = {
  certainty: 'exact',
  statements: [],
  class: 'read',
  verbs: ['select'],
  tables: [{ table: 'pgbench_accounts', modes: ['read'] }],
  columns: [],
  functions: [],
  hasWhere: true,
  touchesFiles: false,
  touchesPrograms: false,
  isDynamic: false,
  launders: [],
  mayChangeSession: false,
  shape: 'SELECT abalance FROM pgbench_accounts WHERE aid = $1',
}
const verdict = { effect: 'allow', reason: 'rule', ruleId: 'reads', matchedRuleIds: ['reads'] } as const
const answer: CommandAnswer = { outcome: 'completed', tags: ['SELECT 1'], rows: 1, bytes: 33 }
/** Statements of pgbench -S: one text in all (`prepared`), or one per account (`simple`). */
function statements(kind: 'prepared' | 'simple', commands: number): { text: string; facts: SqlFacts }[] {
  const count = kind === 'prepared' ? 1 : commands
  return Array.from({ length: count }, (_, i) => ({
    text: `SELECT abalance FROM pgbench_accounts WHERE aid = ${i};`,
    facts: { ...facts },
  }))
}

async function round(
  store: RecordStore,
  name: string,
  texts: readonly { text: string; facts: SqlFacts }[],
  commands: number,
): Promise<number> {
  const recorder = createRecorder({ ...system, store, durability: 'batch' })
  const sessions: SessionRecorder[] = []
  for (let i = 0; i < SESSIONS; i++) {
    sessions.push(
      recorder.open({
        sessionId: `${name}-${i}`,
        subject: { id: 'bench' },
        resource: { name: 'bench', protocol: 'postgres' },
        startedAtUnixMs: Date.now(),
      }),
    )
  }
  await Promise.all(sessions.map((session) => session.flushed()))
  const cpu = process.cpuUsage()
  for (let done = 0; done < commands; done += PER_TURN) {
    const atUnixMs = Date.now()
    for (let i = done; i < done + PER_TURN; i++) {
      const session = sessions[i % SESSIONS] as SessionRecorder
      const id = Math.floor(i / SESSIONS) + 1
      const statement = texts[i % texts.length] as { text: string; facts: SqlFacts }
      session.command({
        type: 'command',
        atUnixMs,
        id,
        kind: 'sql',
        via: 'Query',
        phase: 'execute',
        text: statement.text,
        facts: statement.facts,
        transaction: 'idle',
        verdict,
        permitted: true,
      })
      session.answer(id, answer, atUnixMs)
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
  const used = process.cpuUsage(cpu)
  await Promise.all(sessions.map((session) => session.close('done')))
  return (used.user + used.system) / commands
}

const discard: RecordStore = {
  openSegment: async () => ({
    write: async () => undefined,
    sync: async () => undefined,
    close: async () => undefined,
  }),
  read: () => [] as unknown as AsyncIterable<Uint8Array>,
  list: async () => [],
  replaceTail: async () => undefined,
}

/** The best round: the one that other work on the machine disturbed least. */
function best(values: readonly number[]): number {
  return Math.min(...values)
}

/** What no recorder of this form can do without: one SHA-256 over a line of usual length. */
function floor(commands: number): number {
  const cpu = process.cpuUsage()
  let previous = GENESIS_HASH
  const line = 'x'.repeat(500)
  for (let i = 0; i < commands; i++) previous = hashOf(previous + line)
  const used = process.cpuUsage(cpu)
  if (previous.length !== GENESIS_HASH.length) throw new Error('nothing was hashed')
  return (used.user + used.system) / commands
}

const hashOf = (text: string): string => crypto.hash('sha256', text)

/** What recording one command with its answer costs: in memory (serialise, hash, chain), and into real files. */
export async function measureRecording(isQuick: boolean): Promise<Table> {
  const commands = isQuick ? 20_000 : 200_000
  const rounds = isQuick ? 2 : 5
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-bench-'))
  const files = await openFileRecordStore({ directory, clock: system.clock })
  const lines: Line[] = []
  try {
    for (const kind of ['prepared', 'simple'] as const) {
      const memory: number[] = []
      const disk: number[] = []
      const floors: number[] = []
      for (let i = 0; i < rounds; i++) {
        floors.push(floor(commands))
        memory.push(await round(discard, `m-${kind}-${i}`, statements(kind, commands), commands))
        disk.push(await round(files, `f-${kind}-${i}`, statements(kind, commands), commands))
      }
      // A command and its answer are two events.
      const eventsPerSecond = 2e6 / best(memory)
      lines.push({
        name: kind === 'prepared' ? 'one text, again and again' : 'a new text every time',
        cells: {
          'us CPU in memory': best(memory),
          'us CPU into files': best(disk),
          'of which SHA-256': best(floors),
          'events/s': eventsPerSecond,
        },
        checks: [atLeast('events per CPU second', eventsPerSecond, 1_000_000)],
      })
    }
    const megabytesPerSecond = await verifyAll(files)
    const durableMs = await durable(files, isQuick ? 50 : 500)
    return {
      title: 'Recording a command with its answer',
      notes: [
        `Verifying: ${megabytesPerSecond.toFixed(0)} MB/s. Durable recording, one command after the other: ${durableMs.toFixed(2)} ms each.`,
      ],
      lines,
    }
  } finally {
    await files.close()
    await rm(directory, { recursive: true })
  }
}

async function verifyAll(files: RecordStore): Promise<number> {
  const names = await files.list()
  const started = performance.now()
  let bytes = 0
  for (const name of names) bytes += (await verifyRecording(files.read(name))).goodBytes
  return bytes / 1e6 / ((performance.now() - started) / 1000)
}

async function durable(files: RecordStore, count: number): Promise<number> {
  const session = createRecorder({ ...system, store: files }).open({
    sessionId: 'durable',
    subject: { id: 'bench' },
    resource: { name: 'bench', protocol: 'postgres' },
    startedAtUnixMs: Date.now(),
  })
  const before = performance.now()
  for (let id = 1; id <= count; id++) {
    const atUnixMs = Date.now()
    session.command({ type: 'command', atUnixMs, id, kind: 'sql', text: 'select 1', facts, verdict, permitted: true })
    await session.flushed()
  }
  const elapsedMs = performance.now() - before
  await session.close('done')
  return elapsedMs / count
}
