import { isUtf8 } from 'node:buffer'
import type { CommandAnswer, SqlFacts } from '../core/index.js'
import { textCommitment } from './commitment.js'
import { factsJson } from './facts-json.js'
import { asciiJson } from './line.js'
import { redactSecretsInSql } from './redact-sql.js'
import type { CommandEvent, OutputEvent, RecordedVerdict, RecordingEvent } from './types.js'

/** Texts longer than this are rarely sent twice and are not kept. */
const MAX_CACHED_TEXT_LENGTH = 4_096

/** As many texts are kept as came last, at least so many and at most twice as many: 20 MiB at the very most. */
const MAX_CACHED_TEXTS = 1_024

/** Words from protocols are few; a tag such as `INSERT 0 1234` may vary without end. */
const MAX_CACHED_WORDS = 1_024
const MAX_CACHED_WORD_LENGTH = 64

interface Fragment {
  readonly facts: SqlFacts | undefined
  readonly json: string
  readonly isRedacted: boolean
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
  readonly #verdicts = new WeakMap<RecordedVerdict, string>()
  /** Kinds, phases, tags and the like: few and short. */
  readonly #words = new Map<string, string>()

  command(event: CommandEvent, answer: TimedAnswer | undefined, commitmentKey: Uint8Array | undefined): string {
    const fragment = this.#statement(event)
    let json = `"type":"command","at":${integer(event.atUnixMs)},"id":${integer(event.id)},"kind":${this.#word(event.kind)}`
    if (event.via !== undefined) json += `,"via":${this.#word(event.via)}`
    if (event.phase !== undefined) json += `,"phase":${this.#word(event.phase)}`
    json += fragment.json
    if (fragment.isRedacted) {
      json += ',"redacted":true'
      if (commitmentKey !== undefined) json += `,"textCommitment":"${textCommitment(event.text, commitmentKey)}"`
    }
    if (event.parameters !== undefined && event.parameters.length > 0) {
      json += `,"parameters":${asciiJson(event.parameters)}`
    }
    if (event.transaction !== undefined) json += `,"transaction":${this.#word(event.transaction)}`
    json += this.#verdict(event.verdict)
    json += event.permitted ? ',"permitted":true' : ',"permitted":false'
    if (event.refusal !== undefined) json += `,"refusal":${this.#word(event.refusal)}`
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
        return event.text === undefined ? plain(event) : plain({ ...event, text: redactSecretsInSql(event.text) })
      case 'approval':
      case 'note':
      case 'alert':
        return plain(event)
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
    return json
  }

  #statement(event: CommandEvent): Fragment {
    const { facts, text } = event
    let known = this.#young.get(text)
    if (known === undefined) {
      known = this.#old.get(text)
      if (known !== undefined) this.#keep(text, known)
    }
    // The same text can have other facts under other session state.
    if (known !== undefined && known.facts === facts) return known
    const shown = redactSecretsInSql(text)
    const json = `,"text":${asciiJson(shown)}${facts === undefined ? '' : `,"facts":${factsJson(facts)}`}`
    const fragment: Fragment = { facts, json, isRedacted: shown !== text }
    if (text.length <= MAX_CACHED_TEXT_LENGTH) this.#keep(text, fragment)
    return fragment
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
