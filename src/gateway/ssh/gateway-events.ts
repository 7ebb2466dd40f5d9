import { EventEmitter } from 'eventemitter3'
import type { GatewayLogger } from '../types.js'
import type { SshGatewayEvents } from './types.js'

/** Live events whose listeners are onlookers: what one of them throws changes nothing for a session. */
export class SshGatewayEventEmitter extends EventEmitter<SshGatewayEvents> {
  readonly #logger: GatewayLogger | undefined

  constructor(logger: GatewayLogger | undefined) {
    super()
    this.#logger = logger
  }

  override emit<E extends EventEmitter.EventNames<SshGatewayEvents>>(
    event: E,
    ...args: EventEmitter.EventArgs<SshGatewayEvents, E>
  ): boolean {
    try {
      return super.emit(event, ...args)
    } catch (error) {
      this.#logger?.error({ error, event }, 'a listener failed')
      return true
    }
  }
}
