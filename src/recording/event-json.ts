import { isUtf8 } from 'node:buffer'
import type { CommandAnswer, SqlFacts } from '../core/index.js'
import { commandDetailJson } from './command-detail-json.js'
import { textCommitment } from './commitment.js'
import { factsJson } from './facts-json.js'
import { asciiJson } from './line.js'
import { redactSecretsInCommandLine } from './redact-command-line.js'
import { redactSecretsInSql } from './redact-sql.js'
import { streamEventJson } from './stream-event-json.js'
import type { CommandEvent, OutputEvent, RecordedVerdict, RecordingEvent } from './types.js'

/** Texts longer than this are rarely sent twice and are not kept. */
const MAX_CACHED_TEXT_LENGTH = 4_096

/** As many texts are kept as came last, at least so many and at most twice as many: 20 MiB at the very most. */
const MAX_CACHED_TEXTS = 1_024

/** Marks are wiped when a quarter is taken, so that three of four new texts are still told apart from known ones. */
const SEEN_SLOTS = 65_536
const MAX_SEEN = SEEN_SLOTS / 4

/** Words from protocols are few; a tag such as `INSERT 0 1234` may vary without end. */
const MAX_CACHED_WORDS = 1_024
const MAX_CACHED_WORD_LENGTH = 64

/** What a line says about its command, apart from number, time, values and answer: the same for every repetition. */
interface Fragment {
  readonly event: CommandEvent
  readonly isRedacted: boolean
  json: string
  /** A string put together from many parts is copied part by part wherever it goes; a used one is made whole once. */
  isWhole: boolean
}

/** An answer as it joins its command's line. */
export interface TimedAnswer {
  readonly atUnixMs: number
  readonly answer: CommandAnswer
}

/**
 * Turns events into the members of their lines, `"type":` first, without the braces around.
 *
 * What comes again and again is turned into text once: statements by their text and facts object, verdicts by
 * their object. One instance serves all sessions of a recorder.
 */
export class EventEncoder {
  /** Two generations: when the younger is full it becomes the older one, which is forgotten. */
  #young = new Map<string, Fragment>()
  #old = new Map<string, Fragment>()
  /** One mark per text that came once, by its sketch. */
  readonly #seen = new Uint8Array(SEEN_SLOTS)
  #seenCount = 0
  readonly #verdicts = new WeakMap<RecordedVerdict, string>()
  /** Texts that differ in their literals alone share their facts. */
  readonly #facts = new WeakMap<SqlFacts, string>()
  /** Kinds, phases, tags and the like: few and short. */
  readonly #words = new Map<string, string>()

  command(event: CommandEvent, answer: TimedAnswer | undefined, commitmentKey: Uint8Array | undefined): string {
    const fragment = this.#fragment(event)
    let json = `"type":"command","at":${integer(event.atUnixMs)},"id":${integer(event.id)}${fragment.json}`
    if (fragment.isRedacted && commitmentKey !== undefined) {
      json += `,"textCommitment":"${textCommitment(event.text, commitmentKey)}"`
    }
    if (event.parameters !== undefined && event.parameters.length > 0) {
      json += `,"parameters":${asciiJson(event.parameters)}`
    }
    if (event.holdId !== undefined) json += `,"holdId":${asciiJson(event.holdId)}`
    if (answer !== undefined) {
      json += `,"answer":{"at":${integer(answer.atUnixMs)},${this.#answer(answer.answer)}}`
    }
    return json
  }

  other(event: Exclude<RecordingEvent, CommandEvent>): string {
    switch (event.type) {
      case 'answer':
        return `${opening(event)},"commandId":${integer(event.commandId)},${this.#answer(event.answer)}`
      case 'output':
        return `${opening(event)},"commandId":${integer(event.commandId)},"channel":${this.#word(event.channel)},${payload(event)}`
      case 'hold':
        return event.text === undefined ? plain(event) : plain({ ...event, text: redacted(event.text, event.kind) })
      case 'approval':
      case 'note':
      case 'alert':
        return plain(event)
      case 'resize':
      case 'input':
      case 'detected':
      case 'transfer':
      case 'content':
        return `${opening(event)},${streamEventJson(event)}`
      default:
        return event satisfies never
    }
  }

  #answer(answer: CommandAnswer): string {
    let json = `"outcome":"${answer.outcome}","tags":`
    json += answer.tags.length === 1 ? `[${this.#word(answer.tags[0] ?? '')}]` : asciiJson(answer.tags)
    json += `,"rows":${integer(answer.rows)},"bytes":${integer(answer.bytes)}`
    if (answer.errorCode !== undefined) json += `,"errorCode":${asciiJson(answer.errorCode)}`
    if (answer.errorMessage !== undefined) json += `,"errorMessage":${asciiJson(answer.errorMessage)}`
    if (answer.exitCode !== undefined) json += `,"exitCode":${integer(answer.exitCode)}`
    if (answer.signal !== undefined) json += `,"signal":${asciiJson(answer.signal)}`
    return json
  }

  #fragment(event: CommandEvent): Fragment {
    const { text } = event
    let known = this.#young.get(text)
    if (known === undefined) {
      known = this.#old.get(text)
      if (known !== undefined) this.#keep(text, known)
    }
    if (known !== undefined && isSameCommand(known.event, event)) {
      if (!known.isWhole) {
        known.json = Buffer.from(known.json, 'latin1').toString('latin1')
        known.isWhole = true
      }
      return known
    }
    const fragment = this.#newFragment(event)
    if (text.length <= MAX_CACHED_TEXT_LENGTH && this.#wasSeen(text)) this.#keep(text, fragment)
    return fragment
  }

  #newFragment(event: CommandEvent): Fragment {
    const { facts, text, detail } = event
    const shown = detail === undefined ? redactSecretsInSql(text) : redactSecretsInCommandLine(text)
    const isRedacted = shown !== text
    let json = `,"kind":${this.#word(event.kind)}`
    if (event.via !== undefined) json += `,"via":${this.#word(event.via)}`
    if (event.phase !== undefined) json += `,"phase":${this.#word(event.phase)}`
    json += `,"text":${asciiJson(shown)}`
    if (facts !== undefined) json += this.#factsJson(facts)
    if (detail !== undefined) json += commandDetailJson(detail)
    if (isRedacted) json += ',"redacted":true'
    if (event.transaction !== undefined) json += `,"transaction":${this.#word(event.transaction)}`
    json += this.#verdict(event.verdict)
    json += event.permitted ? ',"permitted":true' : ',"permitted":false'
    if (event.refusal !== undefined) json += `,"refusal":${this.#word(event.refusal)}`
    return { event: withoutValues(event), isRedacted, json, isWhole: false }
  }

  #factsJson(facts: SqlFacts): string {
    const known = this.#facts.get(facts)
    if (known !== undefined) return known
    // Joined once: pieces that are still to be joined are slower to copy, line after line.
    const json = Buffer.from(`,"facts":${factsJson(facts)}`, 'latin1').toString('latin1')
    this.#facts.set(facts, json)
    return json
  }

  /** Whether this text, or one that looks like it, came before. Texts that come once are not worth keeping. */
  #wasSeen(text: string): boolean {
    const slot = sketch(text)
    if (this.#seen[slot] === 1) return true
    if (++this.#seenCount > MAX_SEEN) {
      this.#seen.fill(0)
      this.#seenCount = 1
    }
    this.#seen[slot] = 1
    return false
  }

  #keep(text: string, fragment: Fragment): void {
    if (this.#young.size >= MAX_CACHED_TEXTS) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(text, fragment)
  }

  #verdict(verdict: RecordedVerdict): string {
    const known = this.#verdicts.get(verdict)
    if (known !== undefined) return known
    let json = `,"effect":"${verdict.effect}","reason":"${verdict.reason}"`
    if (verdict.ruleId !== undefined) json += `,"ruleId":${asciiJson(verdict.ruleId)}`
    json += `,"matchedRuleIds":${asciiJson(verdict.matchedRuleIds)}`
    if (verdict.wouldBe !== undefined) json += `,"wouldBe":"${verdict.wouldBe}"`
    this.#verdicts.set(verdict, json)
    return json
  }

  #word(word: string): string {
    const known = this.#words.get(word)
    if (known !== undefined) return known
    const json = asciiJson(word)
    if (this.#words.size >= MAX_CACHED_WORDS) this.#words.clear()
    if (word.length <= MAX_CACHED_WORD_LENGTH) this.#words.set(word, json)
    return json
  }
}

/** Whether both give the same fragment. Their texts are equal already; facts and verdicts are the same objects when they repeat. */
function isSameCommand(known: CommandEvent, event: CommandEvent): boolean {
  return (
    known.facts === event.facts &&
    known.detail === event.detail &&
    known.verdict === event.verdict &&
    known.permitted === event.permitted &&
    known.transaction === event.transaction &&
    known.phase === event.phase &&
    known.via === event.via &&
    known.kind === event.kind &&
    known.refusal === event.refusal
  )
}

/** What of an event a fragment depends on: values must not be kept longer than it takes to write them. */
function withoutValues(event: CommandEvent): CommandEvent {
  if (event.parameters === undefined || event.parameters.length === 0) return event
  const { parameters: _parameters, ...rest } = event
  return rest
}

/** A cheap hash of a text's ends (FNV-1a). */
function sketch(text: string): number {
  let hash = 0x811c9dc5 ^ text.length
  const head = Math.min(text.length, 32)
  for (let i = 0; i < head; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  for (let i = Math.max(head, text.length - 32); i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  }
  return (hash ^ (hash >>> 16)) & (SEEN_SLOTS - 1)
}

/** Without its secrets, as texts of this kind of command carry them. */
function redacted(text: string, kind: string | undefined): string {
  return kind === undefined || kind === 'sql' ? redactSecretsInSql(text) : redactSecretsInCommandLine(text)
}

function opening(event: RecordingEvent): string {
  return `"type":"${event.type}","at":${integer(event.atUnixMs)}`
}

function plain(event: RecordingEvent): string {
  const { type: _type, atUnixMs: _at, ...rest } = event
  const members = asciiJson(rest).slice(1, -1)
  return members === '' ? opening(event) : `${opening(event)},${members}`
}

/** Exactly the bytes: as text where they are UTF-8, as base64 where not. */
function payload(event: OutputEvent): string {
  const bytes = Buffer.from(event.bytes.buffer, event.bytes.byteOffset, event.bytes.byteLength)
  return isUtf8(bytes) ? `"utf8":${asciiJson(bytes.toString('utf8'))}` : `"base64":"${bytes.toString('base64')}"`
}

/** A number that JSON can hold; everything else would break the line's form. */
function integer(value: number): number {
  return Number.isSafeInteger(value) ? value : Math.trunc(Number.isFinite(value) ? value : 0)
}
