import { describe, expect, it } from 'vitest'
import { createMasking } from '../masking/index.js'
import { createPolicy } from '../policy/index.js'
import { createRecorder, MemoryRecordStore, segmentName } from '../recording/index.js'
import { Secret, type SqlFacts } from '../core/index.js'
import { settle, silent, sqlCommand, sync, textValue, verdict, world } from './enforcement.test-support.js'

/** The real layers together, without a wire. */

const policy = createPolicy({
  rules: [
    { id: 'no-drops', effect: 'deny', match: { verbs: ['drop table'] }, message: 'tables stay' },
    { id: 'ask-first', effect: 'hold', match: { verbs: ['delete'] }, hold: { approverGroups: ['dba'] } },
    {
      id: 'reads',
      effect: 'allow',
      match: { verbs: ['select'] },
      mask: { detectors: [{ detector: 'email', strategy: 'redact' }] },
    },
  ],
})

function facts(verb: string, changes: Partial<SqlFacts> = {}): SqlFacts {
  const base = { ...sqlCommand().facts, tables: [] }
  return {
    ...base,
    verbs: [verb],
    statements: [
      {
        verb,
        class: base.class,
        certainty: 'exact',
        tables: base.tables,
        columns: [],
        functions: [],
        output: undefined,
        hasWhere: false,
        touchesFiles: false,
        touchesPrograms: false,
        isDynamic: false,
        launders: [],
        effects: [],
      },
    ],
    ...changes,
  }
}

async function textOf(store: MemoryRecordStore, sessionId: string): Promise<string> {
  let text = ''
  for await (const bytes of store.read(segmentName(sessionId, 1))) text += Buffer.from(bytes).toString('latin1')
  return text
}

describe('the layers together', () => {
  it('REC-5 decide, hold, mask and record one session, and nothing personal reaches the record', async () => {
    const store = new MemoryRecordStore()
    const clock = { nowUnixMs: () => 1_000_000 }
    const recorder = createRecorder({ store, durability: 'durable', clock, schedule: () => silent })
    const masking = createMasking({ key: new Secret(Buffer.alloc(32, 1)) })
    const here = world({ policy, recorder, masking })
    const { session } = here

    const select = sqlCommand({
      text: "select * from users where email = 'ann@mail.example' or email = $1",
      parameters: [textValue('bob@mail.example')],
      facts: facts('select'),
    })
    const read = await session.judge(select, silent)
    expect(read.permitted && read.obligations.masker).toBeDefined()
    session.answered(1, { outcome: 'completed', tags: ['SELECT 1'], rows: 1, bytes: 10 })

    const drop = sqlCommand({ id: 2, text: 'drop table users', facts: facts('drop table') })
    expect(await session.judge(drop, silent)).toMatchObject({ denial: { ruleId: 'no-drops', message: 'tables stay' } })

    const held = session.judge(sqlCommand({ id: 3, facts: facts('delete') }), silent)
    await settle()
    here.broker.approve(here.broker.list()[0]?.id ?? '', { id: 'alice', groups: ['dba'] }, 'tell ann@mail.example')
    expect(await verdict(held)).toBe('permitted')

    await session.end('bye')
    expect(session.failure).toBeUndefined()
    const text = await textOf(store, session.id)
    expect(text).not.toContain('ann@')
    expect(text).not.toContain('bob@')
    const lines = text
      .trim()
      .split('\n')
      .map((line): { type: string } => JSON.parse(line))
    expect(lines.map(({ type }) => type)).toEqual([
      'header',
      'command',
      'answer',
      'command',
      'hold',
      'approval',
      'command',
      'end',
    ])
  })

  it('REC-1 refuse, and end the session, when the store fails under them', async () => {
    const store = new MemoryRecordStore()
    store.openSegment = () => Promise.reject(new Error('disk full'))
    const recorder = createRecorder({ store, clock: { nowUnixMs: () => 0 }, schedule: () => silent })
    const masking = createMasking({ key: new Secret(Buffer.alloc(32, 1)) })
    const { session } = world({ policy, recorder, masking })
    expect(await verdict(session.judge(sqlCommand({ facts: facts('select') }), silent))).toBe('recorder-unavailable')
    expect(session.failure).toMatchObject({ reason: 'recorder-unavailable' })
  })

  it('refuse a text that nobody could parse, in their own words', () => {
    const masking = createMasking({ key: new Secret(Buffer.alloc(32, 1)) })
    const { session } = world({ policy, masking })
    const unparsed = facts('select', { certainty: 'unparsed', class: 'unknown', statements: [], verbs: [] })
    expect(sync(session.judge(sqlCommand({ facts: unparsed }), silent))).toMatchObject({
      denial: { reason: 'unparsed' },
    })
  })

  it('let through what a policy that only observes would have refused', () => {
    const observing = createPolicy({
      mode: 'observe',
      rules: [{ id: 'none', effect: 'deny', match: { verbs: ['select'] } }],
    })
    const { session, recorder } = world({ policy: observing })
    const unparsed = facts('select', { certainty: 'unparsed', class: 'unknown', statements: [], verbs: [] })
    expect(sync(session.judge(sqlCommand({ facts: unparsed }), silent)).permitted).toBe(true)
    expect(sync(session.judge(sqlCommand({ id: 2, facts: facts('select') }), silent)).permitted).toBe(true)
    expect(recorder.commands.map((event) => event.verdict.wouldBe)).toEqual(['deny', 'deny'])
  })
})
