import { exportAsciicast, type MemoryRecordStore, replayRecording, verifyRecording } from '../../src/recording/index.js'
import { parseLines, type RecordedLine } from './recordings.js'
import { until } from './until.js'

/** Waits until every recording has its end, verifies all of them, and answers with their lines. @throws for a bad one */
export async function verifiedRecordings(store: MemoryRecordStore): Promise<RecordedLine[][]> {
  await until(async () => {
    const names = await store.list()
    return names.length > 0 && names.every((name) => store.bytes(name).toString().includes('"type":"end"'))
  })
  const recordings: RecordedLine[][] = []
  for (const name of await store.list()) {
    const bytes = store.bytes(name)
    const { ok, problem, closed } = await verifyRecording([bytes])
    if (!ok || !closed) throw new Error(`${name}: ${problem?.message ?? 'has no end'}`)
    recordings.push(parseLines(bytes.toString()))
  }
  return recordings
}

/** A recording's terminal as asciicast: its header and its events. Undefined where it has none. */
export async function asciicastOf(
  store: MemoryRecordStore,
  name: string,
  version: 2 | 3,
): Promise<{ header: Record<string, unknown>; events: [number, string, string][] } | undefined> {
  const cast = exportAsciicast(replayRecording([store.bytes(name)]), { version, isRaw: true })
  let text = ''
  for (;;) {
    const step = await cast.next()
    if (step.done !== true) {
      text += step.value
      continue
    }
    const { commandId, verification } = step.value
    if (!verification.ok) throw new Error(`${name}: ${verification.problem?.message}`)
    if (commandId === undefined) return undefined
    const [header = '{}', ...events] = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
    return {
      header: JSON.parse(header) as Record<string, unknown>,
      events: events.map((line) => JSON.parse(line) as [number, string, string]),
    }
  }
}
