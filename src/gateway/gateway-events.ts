import { EventEmitter } from 'eventemitter3'
import type { GatewayLogger } from './types.js'

/** Live events whose listeners are onlookers: what one of them throws changes nothing for a session. */
export class GatewayEventEmitter<Events extends EventEmitter.ValidEventTypes> extends EventEmitter<Events> {
  readonly #logger: GatewayLogger | undefined

  constructor(logger: GatewayLogger | undefined) {
    super()
    this.#logger = logger
  }

  override emit<E extends EventEmitter.EventNames<Events>>(
    event: E,
    ...args: EventEmitter.EventArgs<Events, E>
  ): boolean {
    try {
      return super.emit(event, ...args)
    } catch (error) {
      this.#logger?.error({ error, event }, 'a listener failed')
      return true
    }
  }
}
