// Run by file-store.test.ts in a process of its own, to be killed while it records: says on stdout, number by
// number, which commands are safe.
import { writeSync } from 'node:fs'
import { createRecorder } from '../recording/index.js'
import { command, header } from '../recording/recording.test-support.js'
import { openFileRecordStore } from './file-store.js'
import { system } from './system.js'

const [directory = '', sessionId = ''] = process.argv.slice(2)
const store = await openFileRecordStore({ directory, clock: system.clock })
const recorder = createRecorder({ ...system, store })
const session = recorder.open(header(sessionId))

async function work(first: number, step: number): Promise<void> {
  for (let id = first; ; id += step) {
    session.command(command(id, `select ${id}, '${'x'.repeat(id % 3_000)}'`))
    await session.flushed()
    writeSync(1, `${id}\n`)
    session.answer(id, { outcome: 'completed', tags: ['SELECT 1'], rows: 1, bytes: 9 }, Date.now())
  }
}

// Several at once, so that the process dies with lines in every state.
await Promise.all([1, 2, 3, 4].map((first) => work(first, 4)))
