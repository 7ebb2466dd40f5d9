import { isUtf8 } from 'node:buffer'
import type { ByteWriter, CommandAnswer, SqlFacts } from '../core/index.js'
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

/** Combinations of transaction state, permit and refusal kept for one verdict. */
const MAX_OUTCOMES = 16

const REDACTED = Buffer.from(',"redacted":true')
const COMMAND_AT = Buffer.from('"type":"command","at":')
const ID = Buffer.from(',"id":')
const PARAMETERS = Buffer.from(',"parameters":[')
const ANSWER_AT = Buffer.from(',"answer":{"at":')
const COMPLETED = Buffer.from(',"outcome":"completed","tags":[')
const ROWS = Buffer.from('],"rows":')
const BYTES = Buffer.from(',"bytes":')

/** What a line says of its statement. Texts that differ in their literals alone share their facts. */
interface KnownFacts {
  readonly bytes: Buffer
  /** A text with these facts and nothing but plain words and numbers in it has no secrets: one had none. */
  isHarmless: boolean
}

/** What a line says of the decision, the same for every command alike. */
interface KnownOutcome {
  readonly transaction: string | undefined
  readonly permitted: boolean
  readonly refusal: string | undefined
  readonly bytes: Buffer
}

/** A text as it stands in a line. */
interface TextJson {
  readonly bytes: Buffer
  readonly isRedacted: boolean
}

/**
 * Turns events into the members of their lines, `"type":` first, without the braces around.
 *
 * What comes again and again is turned into text once: statements by their text and facts object, verdicts by
 * their object. One instance serves all sessions of a recorder.
 */
export class EventEncoder {
  /** Two generations: when the younger is full it becomes the older one, which is forgotten. */
  #young = new Map<string, TextJson>()
  #old = new Map<string, TextJson>()
  /** One mark per text that came once, by its sketch. */
  readonly #seen = new Uint8Array(SEEN_SLOTS)
  #seenCount = 0
  readonly #outcomes = new WeakMap<RecordedVerdict, KnownOutcome[]>()
  readonly #facts = new WeakMap<SqlFacts, KnownFacts>()
  /** Kinds, phases, tags and the like: few and short. */
  readonly #words = new Map<string, string>()
  readonly #wordsAsBytes = new Map<string, Buffer>()
  #lastKind: string | undefined
  #lastVia: string | undefined
  #lastPhase: string | undefined
  #lastHead: Buffer = COMMAND_AT

  /** @param answeredAtUnixMs of the answer, where there is one */
  command(
    out: ByteWriter,
    event: CommandEvent,
    answer: CommandAnswer | undefined,
    answeredAtUnixMs: number,
    commitmentKey: Uint8Array | undefined,
  ): void {
    out
      .append(COMMAND_AT)
      .digits(integer(event.atUnixMs))
      .append(ID)
      .digits(integer(event.id))
      .append(this.#head(event))
    const { text, facts, detail } = event
    const isRedacted =
      detail === undefined && facts !== undefined
        ? this.#statement(out, text, facts)
        : this.#otherText(out, text, detail)
    if (isRedacted) out.append(REDACTED)
    out.append(this.#outcome(event))
    if (isRedacted && commitmentKey !== undefined) {
      out.ascii(`,"textCommitment":"${textCommitment(text, commitmentKey)}"`)
    }
    const { parameters } = event
    if (parameters !== undefined && parameters.length > 0) {
      out.append(PARAMETERS)
      for (let i = 0; i < parameters.length; i++) {
        if (i > 0) out.u8(0x2c)
        out.ascii(asciiJson(parameters[i]))
      }
      out.u8(0x5d)
    }
    if (event.holdId !== undefined) out.ascii(`,"holdId":${asciiJson(event.holdId)}`)
    if (answer !== undefined) {
      out.append(ANSWER_AT).digits(integer(answeredAtUnixMs))
      this.#joinAnswer(out, answer)
      out.u8(0x7d)
    }
  }

  #head(event: CommandEvent): Buffer {
    const { kind, via, phase } = event
    if (kind === this.#lastKind && via === this.#lastVia && phase === this.#lastPhase) return this.#lastHead
    let json = `,"kind":${this.#word(kind)}`
    if (via !== undefined) json += `,"via":${this.#word(via)}`
    if (phase !== undefined) json += `,"phase":${this.#word(phase)}`
    this.#lastKind = kind
    this.#lastVia = via
    this.#lastPhase = phase
    this.#lastHead = Buffer.from(`${json},"text":`, 'latin1')
    return this.#lastHead
  }

  /** Writes a statement and what is known of it. Returns whether secrets were taken out. */
  #statement(out: ByteWriter, text: string, facts: SqlFacts): boolean {
    let known = this.#facts.get(facts)
    if (known === undefined) {
      known = { bytes: Buffer.from(`,"facts":${factsJson(facts)}`, 'latin1'), isHarmless: false }
      this.#facts.set(facts, known)
    }
    const isRedacted = this.#statementText(out, text, known)
    out.append(known.bytes)
    return isRedacted
  }

  #statementText(out: ByteWriter, text: string, facts: KnownFacts): boolean {
    const isKept = text.length <= MAX_CACHED_TEXT_LENGTH
    let known = isKept ? this.#young.get(text) : undefined
    const isSeen = known === undefined && isKept && this.#wasSeen(text)
    if (isSeen) {
      known = this.#old.get(text)
      if (known !== undefined) this.#keep(text, known)
    }
    if (known !== undefined) {
      out.append(known.bytes)
      return known.isRedacted
    }
    const isPlain = isKept && isPlainText(text)
    if (isPlain && facts.isHarmless && !isSeen) {
      out.u8(0x22).ascii(text).u8(0x22)
      return false
    }
    const shown = redactSecretsInSql(text)
    const isRedacted = shown !== text
    const json = asciiJson(shown)
    if (isPlain && !isRedacted) facts.isHarmless = true
    if (isSeen) this.#keep(text, { bytes: Buffer.from(json, 'latin1'), isRedacted })
    out.ascii(json)
    return isRedacted
  }

  #outcome(event: CommandEvent): Buffer {
    const { transaction, verdict, permitted, refusal } = event
    let alike = this.#outcomes.get(verdict)
    if (alike === undefined) this.#outcomes.set(verdict, (alike = []))
    for (let i = 0; i < alike.length; i++) {
      const one = alike[i] as KnownOutcome
      if (one.transaction === transaction && one.permitted === permitted && one.refusal === refusal) return one.bytes
    }
    let json = transaction === undefined ? '' : `,"transaction":${this.#word(transaction)}`
    json += `,"effect":"${verdict.effect}","reason":"${verdict.reason}"`
    if (verdict.ruleId !== undefined) json += `,"ruleId":${asciiJson(verdict.ruleId)}`
    json += `,"matchedRuleIds":${asciiJson(verdict.matchedRuleIds)}`
    if (verdict.wouldBe !== undefined) json += `,"wouldBe":"${verdict.wouldBe}"`
    json += permitted ? ',"permitted":true' : ',"permitted":false'
    if (refusal !== undefined) json += `,"refusal":${this.#word(refusal)}`
    const bytes = Buffer.from(json, 'latin1')
    // A transaction's states and the reasons of refusals are few.
    if (alike.length < MAX_OUTCOMES) alike.push({ transaction, permitted, refusal, bytes })
    return bytes
  }

  #otherText(out: ByteWriter, text: string, detail: CommandEvent['detail']): boolean {
    const shown = detail === undefined ? redactSecretsInSql(text) : redactSecretsInCommandLine(text)
    out.ascii(asciiJson(shown))
    if (detail !== undefined) out.ascii(commandDetailJson(detail))
    return shown !== text
  }

  #joinAnswer(out: ByteWriter, answer: CommandAnswer): void {
    const isPlain =
      answer.tags.length === 1 &&
      answer.outcome === 'completed' &&
      answer.errorCode === undefined &&
      answer.exitCode === undefined &&
      answer.signal === undefined
    if (!isPlain) {
      out.u8(0x2c).ascii(this.#answer(answer))
      return
    }
    out.append(COMPLETED).append(this.#wordBytes(answer.tags[0] ?? ''))
    out.append(ROWS).digits(integer(answer.rows)).append(BYTES).digits(integer(answer.bytes))
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

  #keep(text: string, json: TextJson): void {
    if (this.#young.size >= MAX_CACHED_TEXTS) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(text, json)
  }

  /** A word of JSON as bytes. */
  #wordBytes(word: string): Buffer {
    let bytes = this.#wordsAsBytes.get(word)
    if (bytes !== undefined) return bytes
    bytes = Buffer.from(asciiJson(word), 'latin1')
    if (this.#wordsAsBytes.size >= MAX_CACHED_WORDS) this.#wordsAsBytes.clear()
    if (word.length <= MAX_CACHED_WORD_LENGTH) this.#wordsAsBytes.set(word, bytes)
    return bytes
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

/** 1: may begin or end a literal, a comment or a scheme, or is written otherwise in JSON. */
const PLAIN_CHARACTERS: Uint8Array = (() => {
  const special = new Uint8Array(128)
  for (let code = 0; code < 128; code++) special[code] = code < 0x20 || code === 0x7f ? 1 : 0
  for (const character of '\'"$:\\`-/') special[character.charCodeAt(0)] = 1
  return special
})()

/**
 * Whether a text has nothing but words, numbers and simple signs: it stands in JSON as it is, and differs from another with
 * the same facts in its numbers alone.
 */
function isPlainText(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code >= 128 || PLAIN_CHARACTERS[code] === 1) return false
  }
  return true
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
