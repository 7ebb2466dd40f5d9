import type { Clock, Schedule } from '../core/index.js'
import { MemoryRecordStore } from './memory-store.js'
import { createRecorder, type Recorder, type RecorderOptions } from './recorder.js'
import type { CommandEvent, RecordedVerdict, RecordingHeader } from './types.js'

/** 2026-01-02T03:04:05Z */
export const START_UNIX_MS = 1_767_323_045_000

export const ALLOWED: RecordedVerdict = {
  effect: 'allow',
  reason: 'rule',
  ruleId: 'reads',
  matchedRuleIds: ['reads'],
}

export function header(sessionId: string): RecordingHeader {
  return {
    sessionId,
    subject: { id: 'agent-7', type: 'agent', onBehalfOf: 'ada' },
    resource: { name: 'orders', protocol: 'postgres' },
    clientAddress: '192.0.2.1',
    startedAtUnixMs: START_UNIX_MS,
    policyDigest: 'sha256:0',
    software: 'sallyport test',
  }
}

export function command(id: number, text: string, more: Partial<CommandEvent> = {}): CommandEvent {
  return {
    type: 'command',
    atUnixMs: START_UNIX_MS + id,
    id,
    kind: 'sql',
    via: 'Query',
    phase: 'execute',
    text,
    transaction: 'idle',
    verdict: ALLOWED,
    permitted: true,
    ...more,
  }
}

/** A recorder on a clock that stands still and timers that are run by hand. */
export class TestWorld {
  readonly store: MemoryRecordStore = new MemoryRecordStore()
  now: number = START_UNIX_MS
  timers: { readonly delayMs: number; readonly run: () => void }[] = []
  readonly clock: Clock = { nowUnixMs: () => this.now }
  readonly schedule: Schedule = (delayMs, run) => {
    const timer = { delayMs, run }
    this.timers.push(timer)
    return () => {
      this.timers = this.timers.filter((each) => each !== timer)
    }
  }

  recorder(options: Partial<RecorderOptions> = {}): Recorder {
    return createRecorder({ store: this.store, clock: this.clock, schedule: this.schedule, ...options })
  }

  /** Runs all timers, and lets what they started settle. */
  async tick(): Promise<void> {
    const due = this.timers
    this.timers = []
    for (const timer of due) timer.run()
    await new Promise((resolve) => setImmediate(resolve))
  }

  /** The lines of a segment, parsed. */
  lines(name: string): Record<string, unknown>[] {
    return this.store
      .bytes(name)
      .toString('latin1')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  }
}
