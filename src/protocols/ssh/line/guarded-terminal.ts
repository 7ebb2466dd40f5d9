import {
  type Denial,
  Fifo,
  LEAVE_TERMINAL_MODES,
  SallyportError,
  sanitizeTerminal,
  type TerminalModes,
} from '../../../core/index.js'
import { denialText, noticeText } from '../refusal.js'
import type { GuardedTerminal, GuardedTerminalEvent, GuardedTerminalOptions } from './guarded-terminal-types.js'
import { hasHistoryExpansion } from './history-expansion.js'
import { type KeyName, KeyReader } from './key-reader.js'
import { LineBuffer } from './line-buffer.js'
import { LineHistory } from './line-history.js'
import { LineView } from './line-view.js'
import { OutputLine } from './output-line.js'

/** The kernel's terminals take no longer line, and drop the rest of it. */
const MAX_CANONICAL_BYTES = 4_095
const SECRET_PROMPT =
  /(?:password|passphrase|passcode|passwort|mot de passe|\bpin\b|verification code)[^\n]{0,80}[:：]\s*$/iu
const SIGNAL_BYTES = [0x03, 0x1a, 0x1c]
const CONTINUATION_PROMPT = '> '
const PASTE_ON = '\x1b[?2004h'
const PASTE_OFF = '\x1b[?2004l'
const BELL = '\x07'

/** `line`: what is typed is edited here. `raw`: it passes, by permit. `refused`: a raw program is being ended. */
type State = 'line' | 'raw' | 'refused'

/**
 * A terminal whose line the gateway owns: it shows and edits what is typed, has each whole line judged on Enter, and
 * sends it to the target only when permitted. Pure: bytes and answers in, events out.
 *
 * INVARIANT: the target receives permitted lines as they were judged, line ends, and Ctrl-C, -D, -Z and -\. Nothing
 * else, unless raw programs or secret lines are allowed to pass by name.
 *
 * Whether a shell or a running program reads a line cannot be known: every line is judged as a command.
 */
export function createGuardedTerminal(options: GuardedTerminalOptions = {}): GuardedTerminal {
  return new LineGuard(options)
}

class LineGuard implements GuardedTerminal {
  readonly #options: GuardedTerminalOptions
  readonly #maxLineBytes: number
  readonly #maxTextBytes: number
  readonly #maxPendingBytes: number
  readonly #isRawProgram: (modes: TerminalModes) => boolean
  readonly #isSecretPrompt: (line: string) => boolean

  readonly #events = new Fifo<GuardedTerminalEvent>()
  readonly #keys = new KeyReader()
  readonly #line = new LineBuffer()
  readonly #history: LineHistory
  readonly #view: LineView
  readonly #output: OutputLine

  #state: State = 'line'
  /** Lines of an unfinished command, each with its line end. */
  #unfinished = ''
  #lastId = 0
  #waiting: { readonly id: number; readonly text: string; isWithdrawn: boolean } | undefined
  #pending: Uint8Array[] = []
  #pendingBytes = 0
  /** Why the line under edit cannot be sent as it is. */
  #problem: string | undefined
  /** Too much was typed ahead: until the line that waits is decided on, nothing more is kept. */
  #isDroppingAhead = false
  /** The line under edit was begun at a prompt for a secret. */
  #holdsSecret = false
  /** The rest of a paste whose earlier line was refused. */
  #isDiscardingPaste = false
  #allowsRaw: boolean
  #escalations = 0

  constructor(options: GuardedTerminalOptions) {
    this.#options = options
    this.#maxLineBytes = options.maxLineBytes ?? 4_000
    if (!(this.#maxLineBytes >= 1 && this.#maxLineBytes <= MAX_CANONICAL_BYTES)) {
      throw new SallyportError(
        'invalid_option',
        `maxLineBytes must be from 1 to ${MAX_CANONICAL_BYTES}, got ${this.#maxLineBytes}`,
      )
    }
    this.#maxTextBytes = options.maxTextBytes ?? 65_536
    this.#maxPendingBytes = options.maxPendingBytes ?? 65_536
    this.#isRawProgram = options.isRawProgram ?? takesScreenOrKeys
    this.#isSecretPrompt = options.isSecretPrompt ?? ((line) => SECRET_PROMPT.test(line))
    this.#allowsRaw = options.allowsRawTerminal ?? false
    const columns = columnsOf(options.columns)
    this.#history = new LineHistory(options.maxHistoryLines ?? 200, this.#maxTextBytes)
    this.#view = new LineView(columns)
    this.#output = new OutputLine(columns)
    if (options.usesBracketedPaste ?? true) this.#show(PASTE_ON)
  }

  get waitingLineId(): number | undefined {
    return this.#waiting?.id
  }

  get wantsInput(): boolean {
    return this.#pendingBytes < this.#maxPendingBytes / 2
  }

  get isRefusingProgram(): boolean {
    return this.#state === 'refused'
  }

  next(): GuardedTerminalEvent | undefined {
    return this.#events.shift()
  }

  receive(chunk: Uint8Array): void {
    if (this.#state === 'raw') {
      this.#send(Buffer.from(chunk))
      return
    }
    if (this.#state === 'refused') {
      // Fails closed: a program that may not run gets signals and nothing else.
      for (const byte of chunk) if (SIGNAL_BYTES.includes(byte)) this.#send(Uint8Array.of(byte))
      return
    }
    if (this.#waiting !== undefined) {
      this.#typedAhead(chunk)
      return
    }
    this.#edit(chunk)
  }

  #typedAhead(chunk: Uint8Array): void {
    const interrupt = chunk.lastIndexOf(0x03)
    if (interrupt >= 0) {
      this.#discardPending()
      this.#skip(chunk.subarray(0, interrupt + 1))
      this.#isDroppingAhead = false
      this.#withdraw()
    }
    const rest = Buffer.from(chunk.subarray(interrupt + 1))
    if (rest.length === 0) return
    if (this.#isDroppingAhead) return this.#skip(rest)
    if (this.#pendingBytes + rest.length > this.#maxPendingBytes) {
      this.#discardPending()
      this.#skip(rest)
      this.#isDroppingAhead = true
      // Fails closed: the rest of a line must not be taken for a whole one.
      this.#problem = `more than ${this.#maxPendingBytes} bytes were typed ahead and discarded`
      this.#refusedHere('limit', this.#problem)
      return
    }
    this.#pending.push(rest)
    this.#pendingBytes += rest.length
  }

  /** Reads keys without acting on them, so that the end of a paste is not missed. */
  #skip(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at = this.#keys.keyEnd) this.#keys.next(bytes, at, bytes.length)
  }

  #withdraw(): void {
    const waiting = this.#waiting
    if (waiting === undefined || waiting.isWithdrawn) return
    waiting.isWithdrawn = true
    this.#show('^C\r\n')
    this.#events.push({ type: 'withdraw', lineId: waiting.id })
  }

  #discardPending(): number {
    const count = this.#pendingBytes
    for (const chunk of this.#pending) this.#skip(chunk)
    this.#pending = []
    this.#pendingBytes = 0
    return count
  }

  #edit(chunk: Uint8Array): void {
    let at = 0
    while (at < chunk.length) {
      const key = this.#keys.next(chunk, at, chunk.length)
      at = this.#keys.keyEnd
      if (key === undefined) return
      this.#press(key)
      if (this.#waiting !== undefined) {
        this.#typedAhead(chunk.subarray(at))
        return
      }
    }
  }

  #press(key: KeyName): void {
    if (this.#isDiscardingPaste) {
      if (key === 'interrupt') this.#isDiscardingPaste = false
      else {
        if (key === 'pasteEnd') this.#isDiscardingPaste = false
        return
      }
    }
    const line = this.#line
    if (line.isEmpty) this.#view.begin(this.#startColumn)
    switch (key) {
      case 'text':
        return this.#insert(this.#keys.text)
      case 'tab':
        // Never a tab: to a line editor on the target it means completion.
        return this.#keys.isPasting ? this.#insert(' ') : undefined
      case 'enter':
        return this.#enter()
      case 'interrupt':
        return this.#interrupt()
      case 'endOfInput':
        if (line.isEmpty) return this.#endOfInput()
        line.deleteRight()
        return this.#edited()
      case 'suspend':
        return this.#send(Uint8Array.of(0x1a))
      case 'quit':
        return this.#send(Uint8Array.of(0x1c))
      case 'left':
        return this.#moved(line.cursor - 1)
      case 'right':
        return this.#moved(line.cursor + 1)
      case 'wordLeft':
        return this.#moved(line.wordLeft())
      case 'wordRight':
        return this.#moved(line.wordRight())
      case 'home':
        return this.#moved(0)
      case 'end':
        return this.#moved(line.characters.length)
      case 'backspace':
        line.deleteLeft()
        return this.#edited()
      case 'delete':
        line.deleteRight()
        return this.#edited()
      case 'killToEnd':
        line.killToEnd()
        return this.#edited()
      case 'killToStart':
        line.killToStart()
        return this.#edited()
      case 'killBlankWordLeft':
        line.killBlankWordLeft()
        return this.#edited()
      case 'killWordLeft':
        line.killWordLeft()
        return this.#edited()
      case 'killWordRight':
        line.killWordRight()
        return this.#edited()
      case 'yank':
        return this.#insert(line.killed)
      case 'transpose':
        line.transpose()
        return this.#edited()
      case 'clearScreen':
        this.#show('\x1b[H\x1b[2J')
        return this.#showPrompt()
      case 'historyPrevious':
        return this.#recall(this.#isSecret ? undefined : this.#history.previous(line.text))
      case 'historyNext':
        return this.#recall(this.#isSecret ? undefined : this.#history.next())
      case 'damaged':
        this.#problem = 'the line has bytes that are no characters'
        return this.#show(BELL)
      case 'pasteStart':
      case 'pasteEnd':
      case 'ignored':
        return
      default:
        return assertNever(key)
    }
  }

  /** The target asks for something that must not be seen. */
  get #isSecret(): boolean {
    return this.#holdsSecret || this.#isAtSecretPrompt
  }

  get #isAtSecretPrompt(): boolean {
    return this.#unfinished === '' && this.#isSecretPrompt(this.#output.text)
  }

  /** Where the line under edit starts. */
  get #startColumn(): number {
    return this.#unfinished === '' ? this.#output.column : CONTINUATION_PROMPT.length
  }

  #insert(text: string): void {
    const line = this.#line
    if (line.byteLength + Buffer.byteLength(text) > this.#maxLineBytes) {
      // Fails closed: a line cut short is another command.
      this.#problem = `the line is longer than ${this.#maxLineBytes} bytes`
      this.#show(BELL)
      return
    }
    const isAppended = line.isAtEnd && text.length === 1 && text >= ' ' && text <= '~'
    line.insert(text)
    if (this.#isAtSecretPrompt) this.#holdsSecret = true
    if (this.#holdsSecret) return
    this.#show(isAppended ? this.#view.append(line, text) : this.#view.draw(line))
  }

  #moved(to: number): void {
    this.#line.move(to)
    if (!this.#line.isEmpty && !this.#isSecret) this.#show(this.#view.place(this.#line))
  }

  #edited(): void {
    if (this.#line.isEmpty) {
      this.#problem = undefined
      this.#holdsSecret = false
    }
    if (!this.#isSecret) this.#show(this.#view.draw(this.#line))
  }

  #recall(text: string | undefined): void {
    if (text === undefined) return this.#show(BELL)
    this.#line.set(text)
    this.#problem = undefined
    this.#show(this.#view.draw(this.#line))
  }

  #interrupt(): void {
    if (!this.#line.isEmpty && !this.#isSecret) this.#show(this.#view.leave(this.#line))
    this.#show('^C')
    if (this.#holdsSecret) this.#line.forgetKilled()
    this.#unfinished = ''
    this.#clearLine()
    this.#history.leave()
    this.#send(Uint8Array.of(0x03))
  }

  #endOfInput(): void {
    if (this.#unfinished === '') return this.#send(Uint8Array.of(0x04))
    this.#show('\r\n')
    this.#refuseHere('the command has no end', 'unparsed')
  }

  #clearLine(): void {
    this.#line.clear()
    this.#problem = undefined
    this.#holdsSecret = false
    this.#view.begin(this.#startColumn)
  }

  #enter(): void {
    const isSecret = this.#isSecret
    const text = this.#line.text
    const problem = this.#problem
    if (!isSecret && !this.#line.isEmpty) this.#show(this.#view.leave(this.#line))
    this.#show('\r\n')
    this.#clearLine()
    if (isSecret) return this.#secret(text, problem)
    this.#history.add(text)
    if (problem !== undefined) return this.#refuseHere(problem)
    const whole = this.#unfinished + text
    if (whole === '') {
      this.#output.newLine()
      return this.#send(Uint8Array.of(0x0d))
    }
    if (Buffer.byteLength(whole) > this.#maxTextBytes)
      return this.#refuseHere(`the command is longer than ${this.#maxTextBytes} bytes`)
    if (!(this.#options.allowsHistoryExpansion ?? false) && hasHistoryExpansion(whole)) {
      return this.#refuseHere(
        'a shell may replace `!` or `^` by an older command: write it in single quotes',
        'unparsed',
      )
    }
    if (this.#options.isIncomplete?.(whole) ?? false) {
      this.#unfinished = `${whole}\n`
      return this.#showPrompt()
    }
    this.#unfinished = ''
    this.#waiting = { id: ++this.#lastId, text: whole, isWithdrawn: false }
    this.#events.push({ type: 'line', lineId: this.#lastId, text: whole })
  }

  #secret(text: string, problem: string | undefined): void {
    this.#line.forgetKilled()
    // A prompt that has gone meanwhile no longer takes secrets.
    const mayPass = this.#options.secretLines === 'pass' && problem === undefined && this.#isAtSecretPrompt
    const isSent = mayPass || text === ''
    this.#events.push({ type: 'secretLine', isSent, byteLength: Buffer.byteLength(text) })
    if (isSent) {
      this.#output.newLine()
      this.#send(Buffer.from(`${text}\r`))
      return
    }
    this.#show(noticeText('secrets cannot be typed in this session, Ctrl-C ends the program that asks', '\r\n'))
    this.#showPrompt()
  }

  /** Refuses the command under edit without asking anybody. */
  #refuseHere(message: string, reason: 'limit' | 'unparsed' = 'limit'): void {
    this.#unfinished = ''
    this.#refusedHere(reason, message)
    this.#afterRefusal()
  }

  #refusedHere(reason: 'limit' | 'unparsed', message: string): void {
    const denial: Denial = { reason, message }
    this.#events.push({ type: 'refused', denial })
    this.#show(denialText(denial, '\r\n'))
  }

  /** What was typed or pasted behind a refused command may count on it: it goes too. */
  #afterRefusal(): void {
    const count = this.#discardPending()
    this.#isDroppingAhead = false
    if (this.#keys.isPasting) this.#isDiscardingPaste = true
    if (count > 0) this.#show(noticeText(`${count} bytes typed ahead were discarded`, '\r\n'))
    this.#showPrompt()
  }

  /** Shows the target's prompt again: asking for a new one could answer a program's question. */
  #showPrompt(): void {
    const prompt = this.#unfinished === '' ? sanitizeTerminal(this.#output.bytes) : Buffer.from(CONTINUATION_PROMPT)
    this.#show(Buffer.concat([Buffer.from('\r'), prompt]))
    this.#view.begin(this.#startColumn)
    if (!this.#line.isEmpty && !this.#isSecret) this.#show(this.#view.draw(this.#line))
  }

  #take(lineId: number): string {
    const waiting = this.#waiting
    if (waiting === undefined || waiting.id !== lineId)
      throw new SallyportError('misuse', `line ${lineId} does not wait for a decision`)
    this.#waiting = undefined
    return waiting.text
  }

  permit(lineId: number, permit: { readonly allowsRawTerminal?: boolean } = {}): void {
    const text = this.#take(lineId)
    this.#allowsRaw = permit.allowsRawTerminal ?? this.#options.allowsRawTerminal ?? false
    this.#output.newLine()
    this.#view.begin(0)
    if (this.#state === 'refused') {
      // Fails closed: it is being ended, and what to it are keys was judged as a command.
      this.#show(noticeText('the line was not sent: the program that would read it is being ended', '\r\n'))
      this.#discardPending()
      return
    }
    this.#send(Buffer.from(`${text.replaceAll('\n', '\r')}\r`))
    this.#resume()
  }

  refuse(lineId: number, denial: Denial): void {
    this.#take(lineId)
    this.#show(denialText(denial, '\r\n'))
    this.#afterRefusal()
  }

  inform(lineId: number, text: string): void {
    if (this.#waiting?.id === lineId) this.#show(noticeText(text, '\r\n'))
  }

  #resume(): void {
    const pending = Buffer.concat(this.#pending)
    this.#pending = []
    this.#pendingBytes = 0
    this.#isDroppingAhead = false
    if (pending.length > 0) this.receive(pending)
  }

  output(chunk: Uint8Array): void {
    let rest = chunk
    while (rest.length > 0) rest = rest.subarray(this.#outputUpToChange(rest))
  }

  /** Passes output on up to where a raw program starts or ends, and returns how much that was. */
  #outputUpToChange(chunk: Uint8Array): number {
    const isShown = this.#state !== 'refused'
    const isLineDrawn = this.#state === 'line' && this.#waiting === undefined && !this.#line.isEmpty && !this.#isSecret
    let hasChanged = false
    const taken = this.#output.push(chunk, () => {
      hasChanged = this.#isRawProgram(this.#output.modes) !== (this.#state !== 'line')
      return hasChanged
    })
    if (isShown && taken > 0) {
      if (isLineDrawn) this.#show(this.#view.erase())
      this.#show(Buffer.from(chunk.subarray(0, taken)))
    }
    if (hasChanged) this.#rawChanged()
    else if (isLineDrawn) {
      this.#view.begin(this.#startColumn)
      if (!this.#isSecret) this.#show(this.#view.draw(this.#line))
    }
    return taken
  }

  #rawChanged(): void {
    const wasRefused = this.#state === 'refused'
    if (this.#state !== 'line') {
      this.#state = 'line'
      this.#events.push({ type: 'rawProgramEnded' })
      this.#output.newLine()
      this.#clearLine()
      if ((this.#options.usesBracketedPaste ?? true) && !wasRefused) this.#show(PASTE_ON)
      return
    }
    this.#events.push({ type: 'rawProgram', isAllowed: this.#allowsRaw })
    if (this.#allowsRaw) {
      this.#state = 'raw'
      // What was typed ahead was meant for a line: it stays unsent.
      this.#unfinished = ''
      this.#clearLine()
      return
    }
    this.#state = 'refused'
    this.#escalations = 0
    this.#unfinished = ''
    this.#clearLine()
    this.#show(LEAVE_TERMINAL_MODES)
    if (this.#options.usesBracketedPaste ?? true) this.#show(PASTE_ON)
    this.#show(Buffer.concat([Buffer.from('\r\n'), denialText(RAW_DENIAL, '\r\n')]))
    this.#events.push({ type: 'refused', denial: RAW_DENIAL })
    this.#send(Uint8Array.of(0x03))
  }

  escalate(): void {
    if (this.#state !== 'refused') return
    if (this.#escalations++ === 0) this.#send(Uint8Array.of(0x1c))
    else this.#events.push({ type: 'hangUp', denial: RAW_DENIAL })
  }

  resize(columns: number): void {
    this.#output.columns = columnsOf(columns)
    this.#view.columns = this.#output.columns
    // Terminals break lines anew by rules of their own: what is drawn next starts from where the line is now.
    this.#view.begin(this.#startColumn)
    if (this.#state === 'line' && this.#waiting === undefined && !this.#line.isEmpty && !this.#isSecret)
      this.#show(this.#view.draw(this.#line))
  }

  end(): void {
    if (this.#state !== 'line') this.#show(LEAVE_TERMINAL_MODES)
    if (this.#options.usesBracketedPaste ?? true) this.#show(PASTE_OFF)
  }

  #show(bytes: Uint8Array | string): void {
    if (bytes.length === 0) return
    this.#events.push({ type: 'toClient', bytes: typeof bytes === 'string' ? Buffer.from(bytes) : bytes })
  }

  #send(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#events.push({ type: 'toUpstream', bytes })
  }
}

const RAW_DENIAL: Denial = {
  reason: 'unsupported',
  message: 'programs that read single keys may not run in a guarded terminal',
}

function takesScreenOrKeys(modes: TerminalModes): boolean {
  return modes.isAlternateScreen || modes.hasMouse || modes.hasApplicationCursor || modes.hasApplicationKeypad
}

/** Clients say 0 where they do not know. */
function columnsOf(columns: number | undefined): number {
  return columns === undefined || !(columns >= 2) ? 80 : Math.min(Math.floor(columns), 1_000)
}

function assertNever(value: never): never {
  throw new SallyportError('internal', `no such key: \`${String(value)}\``)
}
