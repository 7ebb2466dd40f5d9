import type {
  Admission,
  Command,
  Connection,
  ConnectionEvent,
  Denial,
  IdentityChallenge,
  Relation,
  SallyportError,
  Side,
  TlsInfo,
  UpstreamCredentials,
} from '../core/index.js'
import type { Judgement, Session } from '../enforcement/types.js'
import type { DriverPorts } from './driver-types.js'
import type { Peer } from './peer.js'

/**
 * A line protocol, to test drivers without a real one: the first line is the user's name, every further
 * line a command. Upstream answers one line per command.
 */
export class ToyConnection implements Connection {
  readonly events: ConnectionEvent[] = []
  readonly held = new Map<number, string>()
  readonly calls: string[] = []
  #phase: 'user' | 'wait' | 'ready' | 'over' = 'user'
  #pending = ''
  #nextId = 1
  #running: number[] = []
  isReading = true

  receive(from: Side, chunk: Uint8Array): void {
    const text = Buffer.from(chunk).toString('latin1')
    if (from === 'upstream') {
      for (const line of text.split('\n').filter(Boolean)) {
        this.#write('downstream', `${line}\n`)
        const commandId = this.#running.shift()
        if (commandId !== undefined) {
          this.events.push({
            type: 'answer',
            commandId,
            answer: { outcome: 'completed', tags: [line], rows: 0, bytes: chunk.length },
          })
        }
      }
      return
    }
    this.#pending += text
    for (let at = this.#pending.indexOf('\n'); at >= 0; at = this.#pending.indexOf('\n')) {
      const line = this.#pending.slice(0, at)
      this.#pending = this.#pending.slice(at + 1)
      this.#line(line)
    }
  }

  #line(line: string): void {
    if (line === 'starttls') {
      this.#write('downstream', 'S')
      this.events.push({ type: 'startTls', side: 'downstream' })
    } else if (this.#phase === 'user') {
      this.#phase = 'wait'
      this.events.push({ type: 'identify', user: line, isEncrypted: false })
    } else if (line === 'resolve') {
      this.events.push({ type: 'resolve', oids: [1], names: [] })
    } else {
      const id = this.#nextId++
      this.held.set(id, line)
      this.events.push({ type: 'command', command: { id, protocol: 'toy', text: line } as unknown as Command })
    }
  }

  #write(to: Side, text: string): void {
    this.events.push({ type: 'write', to, bytes: Buffer.from(text, 'latin1') })
  }

  end(from: Side): void {
    this.calls.push(`end ${from}`)
    this.#phase = 'over'
    this.events.push({ type: 'close', side: from === 'downstream' ? 'upstream' : 'downstream' })
  }

  next(): ConnectionEvent | undefined {
    return this.events.shift()
  }

  permit(commandId: number): void {
    this.#write('upstream', `${this.held.get(commandId)}\n`)
    this.held.delete(commandId)
    this.#running.push(commandId)
  }

  refuse(commandId: number, denial: Denial): void {
    this.held.delete(commandId)
    this.#write('downstream', `refused ${denial.reason}\n`)
  }

  inform(_commandId: number, text: string): void {
    this.#write('downstream', `notice ${text}\n`)
  }

  wantsRead(from: Side): boolean {
    return from === 'upstream' || (this.isReading && this.held.size === 0)
  }

  challenge(_challenge: IdentityChallenge): void {
    this.events.push({ type: 'authenticate', proof: { method: 'none', user: 'toy' } })
  }

  authenticated(_admission: Admission): void {
    this.events.push({ type: 'connect' })
  }

  reject(denial: Denial): void {
    this.#write('downstream', `rejected ${denial.reason}\n`)
    this.events.push({ type: 'close', side: 'downstream' })
  }

  upstreamReady(_credentials: UpstreamCredentials): void {
    this.#phase = 'ready'
    this.events.push({ type: 'ready' })
    this.#write('downstream', 'ready\n')
  }

  upstreamFailed(error: SallyportError): void {
    this.#write('downstream', `failed ${error.code}\n`)
    this.events.push({ type: 'close', side: 'downstream', error })
  }

  tlsStarted(side: Side, _info: TlsInfo): void {
    this.calls.push(`tls ${side}`)
  }

  resolved(relations: readonly Relation[]): void {
    this.#write('downstream', `resolved ${relations.length}\n`)
  }

  shutdown(denial: Denial): void {
    this.#write('downstream', `shutdown ${denial.reason}\n`)
    this.events.push({ type: 'close', side: 'downstream' }, { type: 'close', side: 'upstream' })
  }

  pauseCommands(isPaused: boolean): void {
    this.calls.push(`pause ${isPaused}`)
  }
}

/** Keeps what was written; says it is full when told so. */
export class FakePeer implements Peer {
  readonly writes: string[] = []
  isFull = false
  isPaused = false
  isEnded = false
  isDestroyed = false
  corks = 0

  get text(): string {
    return this.writes.join('')
  }

  write(bytes: Uint8Array): boolean {
    this.writes.push(Buffer.from(bytes).toString('latin1'))
    return !this.isFull
  }
  cork(): void {
    this.corks++
  }
  uncork(): void {}
  pause(): void {
    this.isPaused = true
  }
  resume(): void {
    this.isPaused = false
  }
  end(): void {
    this.isEnded = true
  }
  destroy(): void {
    this.isDestroyed = true
  }
}

/** A session that permits everything but `bad`, and holds what starts with `hold` until `release` is called. */
export class FakeSession implements Pick<Session, 'judge' | 'withdraw' | 'answered' | 'output' | 'end'> {
  readonly withdrawn: number[] = []
  readonly answers: number[] = []
  readonly ended: string[] = []
  release: (judgement: Judgement) => void = () => {}
  fail: (denial: Denial) => void = () => {}

  judge(command: Command, inform: (text: string) => void): Judgement | Promise<Judgement> {
    const { text } = command as unknown as { text: string }
    if (text === 'bad') return { permitted: false, denial: { reason: 'rule', message: 'no' } }
    if (text === 'throw') throw new Error('broken')
    if (!text.startsWith('hold')) return PERMIT
    inform('waiting')
    return new Promise((resolve) => {
      this.release = resolve
    })
  }
  withdraw(commandId: number): void {
    this.withdrawn.push(commandId)
    this.release({ permitted: false, denial: { reason: 'withdrawn', message: 'gone' } })
  }
  answered(commandId: number): void {
    this.answers.push(commandId)
  }
  output(): void {}
  refused(): void {}
  end(reason: string): Promise<void> {
    this.ended.push(reason)
    return Promise.resolve()
  }
  onFailure(listener: (denial: Denial) => void): void {
    this.fail = listener
  }
  analyzer(): never {
    return undefined as never
  }
}

export const PERMIT = { permitted: true, obligations: {} } as unknown as Judgement

/** Ports that let everybody in and connect to `upstream`. */
export function toyPorts(session: FakeSession, upstream: Peer): DriverPorts {
  return {
    identity: {
      challenge: () => ({ method: 'none' }),
      authenticate: () => ({ isAdmitted: true, subject: { id: 'toy' } }),
    },
    openSession: () => session as unknown as Session,
    connect: () => Promise.resolve({ peer: upstream, credentials: { user: 'up' } }),
  }
}
