import type { Command, CommandAnswer } from '../core/index.js'

/** A statement that was permitted to be planned. */
interface Planned<Note> {
  readonly command: Command
  readonly note: Note
  answer: CommandAnswer | undefined
  /** Its text is on record: its own, or with the values it ran with. */
  isRecorded: boolean
  isBound: boolean
}

/** What a session does to put a planned statement on record. */
export interface PlannedSink<Note> {
  command(command: Command, note: Note): void
  answer(commandId: number, answer: CommandAnswer): void
}

/** Planned statements whose answers are awaited. More is a protocol that does not answer all of them. */
const MAX_PLANNED = 4_096

/**
 * Keeps the record free of what says nothing: a statement that is planned and then run with its values is recorded once, as
 * run. One that is only planned, or whose planning fails, is recorded as such, before anything that comes after it.
 */
export class PlannedStatements<Note> {
  readonly #sink: PlannedSink<Note>
  readonly #byId = new Map<number, Planned<Note>>()
  /** The last one, while nothing else happened. */
  #open: Planned<Note> | undefined

  constructor(sink: PlannedSink<Note>) {
    this.#sink = sink
  }

  plan(command: Command, note: Note): void {
    this.settle()
    if (this.#byId.size >= MAX_PLANNED) this.#byId.clear()
    const planned: Planned<Note> = { command, note, answer: undefined, isRecorded: false, isBound: false }
    this.#byId.set(command.id, planned)
    this.#open = planned
  }

  /** Another command is about to be recorded. */
  before(command: Command): void {
    const open = this.#open
    if (open === undefined) return
    if (command.kind === 'sql' && open.command.kind === 'sql' && command.text === open.command.text) {
      open.isBound = true
      this.#open = undefined
    } else {
      this.settle()
    }
  }

  /** Whether the answer belonged to a planned statement, and needs nothing more. */
  answered(commandId: number, answer: CommandAnswer): boolean {
    const planned = this.#byId.get(commandId)
    if (planned === undefined) {
      if (this.#open !== undefined) this.settle()
      return false
    }
    planned.answer = answer
    if (planned === this.#open && answer.outcome === 'completed') return true
    this.#byId.delete(commandId)
    if (planned === this.#open) this.#open = undefined
    if (planned.isRecorded) return false
    if (!planned.isBound || answer.outcome === 'failed') this.#record(planned)
    return true
  }

  /** Nothing follows that could make the last one needless. */
  settle(): void {
    const open = this.#open
    if (open === undefined) return
    this.#open = undefined
    this.#record(open)
  }

  #record(planned: Planned<Note>): void {
    planned.isRecorded = true
    this.#sink.command(planned.command, planned.note)
    if (planned.answer !== undefined) {
      this.#byId.delete(planned.command.id)
      this.#sink.answer(planned.command.id, planned.answer)
    }
  }
}
