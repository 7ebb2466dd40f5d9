import { type SallyportError, type Side } from '../../core/index.js'
import type { ChannelApp } from './channel-app.js'
import { type ChannelHost, INTERRUPTED } from './channel-host.js'
import type { FileChannelEvent, FileMachine } from './files/events.js'
import type { Flow } from './flow.js'

export interface FileAppOptions {
  readonly machine: FileMachine
  readonly host: ChannelHost
  readonly toUpstream: Flow
  readonly toDownstream: Flow
  /** Bytes that went to the client. */
  passed(bytes: number): void
  /** A side broke the protocol of files. */
  broken(error: SallyportError): void
}

/** SFTP or the older scp in a channel: every operation on a file is a command of its own. */
export class FileApp implements ChannelApp {
  readonly #options: FileAppOptions
  #isOver = false
  #isPumping = false

  constructor(options: FileAppOptions) {
    this.#options = options
  }

  fromClient(bytes: Buffer): void {
    this.#receive('downstream', bytes)
  }

  fromTarget(bytes: Buffer): void {
    this.#receive('upstream', bytes)
  }

  #receive(from: Side, bytes: Buffer): void {
    if (this.#isOver) return
    this.#options.machine.receive(from, bytes, true)
    this.#pump()
  }

  ended(side: Side): void {
    if (this.#isOver) return
    this.#options.machine.end(side)
    this.#pump()
  }

  abandon(): void {
    if (this.#isOver) return
    this.#options.machine.abandon()
    this.#pump()
  }

  #pump(): void {
    if (this.#isPumping) return
    this.#isPumping = true
    const { machine, toUpstream, toDownstream } = this.#options
    for (let event = machine.next(); event !== undefined; event = machine.next()) this.#handle(event)
    this.#isPumping = false
    if (this.#isOver) return
    // What the machine holds is bounded by what was granted: it is granted nothing while it has enough.
    toUpstream.isPaused = !machine.wantsRead('downstream')
    toDownstream.isPaused = !machine.wantsRead('upstream')
    toUpstream.grant()
    toDownstream.grant()
  }

  #handle(event: FileChannelEvent): void {
    const { host, machine, toUpstream, toDownstream } = this.#options
    switch (event.type) {
      case 'write': {
        const { bytes } = event
        const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
        if (event.to === 'downstream') this.#options.passed(bytes.length)
        ;(event.to === 'downstream' ? toDownstream : toUpstream).data(0, buffer)
        return
      }
      case 'command': {
        const { command } = event
        host.judgeCommand(command, {
          permit: (obligations) => {
            if (this.#isOver) host.answer(command.id, INTERRUPTED)
            else machine.permit(command.id, obligations)
            this.#pump()
          },
          refuse: (denial) => {
            if (!this.#isOver) machine.refuse(command.id, denial)
            this.#pump()
          },
        })
        return
      }
      case 'answer':
        host.answer(event.commandId, event.answer)
        return
      case 'content':
        host.fileContent(event.commandId, event.content)
        return
      case 'transfer':
        host.transferred(event.commandId, event.transfer)
        return
      case 'refused':
        host.refused(event.via, event.denial)
        return
      case 'withdraw':
        host.withdraw(event.commandId)
        return
      case 'end':
        ;(event.to === 'downstream' ? toDownstream : toUpstream).eof()
        return
      case 'close':
        this.#isOver = true
        if (event.error !== undefined) this.#options.broken(event.error)
        return
    }
  }
}
