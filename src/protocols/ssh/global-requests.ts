import {
  type CommandBase,
  Fifo,
  type Obligations,
  type PortForwardCommand,
  printableText,
  SallyportError,
} from '../../core/index.js'
import { type ChannelHost, COMPLETED, FAILED, NOT_PERMITTED, UNSUPPORTED } from './channel-host.js'
import { type ReversePermits, socketKey, tcpKey } from './forwards.js'
import { globalRequest, requestReply, type SshMessage } from './messages.js'
import { ReplyOrder, type ReplySlot } from './reply-order.js'
import { readChosenPort, readStreamlocalForward, readTcpipForward } from './requests.js'

type GlobalRequest = Extract<SshMessage, { type: 'global-request' }>

interface Waiting {
  readonly message: GlobalRequest
  readonly slot: ReplySlot
}

/**
 * Requests that belong to the connection as a whole (RFC 4254 section 4). Those of the client are taken one after the other
 * and answered in their order, whoever answers: a hold makes later ones wait.
 *
 * Listeners on the target are judged as `port-forward` commands that end when they are cancelled.
 */
export class GlobalRequests {
  readonly #host: ChannelHost
  readonly #permits: ReversePermits
  readonly #replies: ReplyOrder
  readonly #waiting = new Fifo<Waiting>()
  #judging: number | undefined
  /** Of ours, that the client has not answered. */
  #unansweredPings = 0
  /** The client has promised to open no more sessions. */
  isClosedToSessions = false

  constructor(host: ChannelHost, permits: ReversePermits) {
    this.#host = host
    this.#permits = permits
    this.#replies = new ReplyOrder((isSuccess, data) => host.send('downstream', requestReply(isSuccess, data)))
  }

  fromClient(message: GlobalRequest): void {
    if (this.#replies.length >= this.#host.limits.maxWaitingRequests) {
      throw new SallyportError('limit_exceeded', 'too many requests wait on the connection')
    }
    this.#waiting.push({ message, slot: this.#replies.add(message.wantsReply) })
    this.#takeNext()
  }

  /** The target's are for us: what it is, and whether we live. */
  fromTarget(message: GlobalRequest): void {
    if (message.wantsReply) this.#host.send('upstream', requestReply(false))
  }

  replyFromClient(): void {
    if (this.#unansweredPings === 0) throw new SallyportError('protocol_violation', 'a reply came to no request')
    this.#unansweredPings--
  }

  replyFromTarget(isSuccess: boolean, data: Buffer | undefined): void {
    if (this.#replies.reply(isSuccess, data)) return
    throw new SallyportError('upstream_protocol_violation', 'a reply came to no request')
  }

  /** Asks a side for a sign of life. */
  ping(side: 'downstream' | 'upstream'): void {
    if (side === 'downstream') this.#unansweredPings++
    else this.#replies.own(() => {})
    this.#host.send(side, globalRequest('keepalive@openssh.com', NO_DATA, { wantsReply: true }))
  }

  /** The connection ends. */
  abandon(): void {
    if (this.#judging !== undefined) this.#host.withdraw(this.#judging)
  }

  #takeNext(): void {
    while (this.#judging === undefined) {
      const waiting = this.#waiting.shift()
      if (waiting === undefined) return
      this.#take(waiting)
    }
  }

  #take(waiting: Waiting): void {
    const { message, slot } = waiting
    const { name, data } = message
    switch (name) {
      case 'tcpip-forward': {
        const { host, port } = readTcpipForward(data)
        if (port > 65_535) throw new SallyportError('protocol_violation', 'a port has more than 16 bits')
        const text = `${name} ${printableText(host)}:${port}`
        return this.#judge(
          waiting,
          (base) => ({ ...base, text, host, port }),
          (chosen) => tcpKey(host, port === 0 && chosen !== undefined ? readChosenPort(chosen) : port),
        )
      }
      case 'streamlocal-forward@openssh.com': {
        const socketPath = readStreamlocalForward(data)
        const text = `${name} ${printableText(socketPath)}`
        return this.#judge(
          waiting,
          (base) => ({ ...base, text, socketPath }),
          () => socketKey(socketPath),
        )
      }
      case 'cancel-tcpip-forward': {
        const { host, port } = readTcpipForward(data)
        return this.#cancel(waiting, tcpKey(host, port))
      }
      case 'cancel-streamlocal-forward@openssh.com':
        return this.#cancel(waiting, socketKey(readStreamlocalForward(data)))
      case 'no-more-sessions@openssh.com':
        this.isClosedToSessions = true
        return this.#replies.settle(slot, true)
      case 'keepalive@openssh.com':
        // Any answer will do.
        return this.#replies.settle(slot, false)
      default:
        this.#host.refused(name, UNSUPPORTED(`request \`${name}\``))
        this.#replies.settle(slot, false)
    }
  }

  #judge(
    waiting: Waiting,
    make: (base: CommandBase & Pick<PortForwardCommand, 'kind' | 'via' | 'direction'>) => PortForwardCommand,
    keyOf: (reply: Buffer | undefined) => string,
  ): void {
    const { message, slot } = waiting
    if (this.#host.isEnding) {
      this.#replies.settle(slot, false)
      return
    }
    if (!this.#host.permissions.allowsPortForwarding) {
      this.#host.refused(message.name, NOT_PERMITTED(message.name))
      this.#replies.settle(slot, false)
      return
    }
    if (this.#permits.size >= this.#host.limits.maxListeners) {
      this.#host.refused(message.name, { reason: 'limit', message: 'there are too many listeners' })
      this.#replies.settle(slot, false)
      return
    }
    const commandId = this.#host.judge(
      (id) => make({ id, protocol: 'ssh', kind: 'port-forward', via: message.name, direction: 'remote' }),
      {
        permit: (obligations) => {
          this.#judging = undefined
          this.#listen(waiting, commandId, obligations, keyOf)
          this.#takeNext()
        },
        refuse: () => {
          this.#judging = undefined
          this.#replies.settle(slot, false)
          this.#takeNext()
        },
      },
    )
    this.#judging = commandId
  }

  #listen(
    { message, slot }: Waiting,
    commandId: number,
    obligations: Obligations,
    keyOf: (reply: Buffer | undefined) => string,
  ): void {
    this.#replies.forwarded(slot, (isSuccess, data) => {
      if (isSuccess) this.#permits.add(keyOf(data), { commandId, obligations })
      this.#host.answer(commandId, isSuccess ? COMPLETED : FAILED)
    })
    // Always with a reply: channels are only let in for listeners that there are.
    this.#host.send('upstream', globalRequest(message.name, message.data, { wantsReply: true }))
  }

  #cancel({ message, slot }: Waiting, key: string): void {
    if (this.#permits.remove(key) === undefined) {
      this.#replies.settle(slot, false)
      return
    }
    this.#replies.forwarded(slot)
    this.#host.send('upstream', globalRequest(message.name, message.data, { wantsReply: true }))
  }
}

const NO_DATA = Buffer.alloc(0)
