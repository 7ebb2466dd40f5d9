import { Fifo } from '../../core/index.js'

/** One request of the client, from its arrival to its reply. */
export interface ReplySlot {
  readonly wantsReply: boolean
  outcome: 'waiting' | 'success' | 'failure'
  /** The target has been asked, and answers in order. */
  isForwarded: boolean
  data: Buffer | undefined
  /** Told what the target answered. */
  answered: ((isSuccess: boolean, data: Buffer | undefined) => void) | undefined
}

/**
 * Keeps replies in the order of their requests (RFC 4254 section 4), whoever answers them: the target, or we ourselves.
 */
export class ReplyOrder {
  readonly #slots = new Fifo<ReplySlot>()
  readonly #forwarded = new Fifo<ReplySlot>()
  readonly #send: (isSuccess: boolean, data: Buffer | undefined) => void

  constructor(send: (isSuccess: boolean, data: Buffer | undefined) => void) {
    this.#send = send
  }

  get length(): number {
    return this.#slots.length
  }

  add(wantsReply: boolean): ReplySlot {
    const slot: ReplySlot = {
      wantsReply,
      outcome: 'waiting',
      isForwarded: false,
      data: undefined,
      answered: undefined,
    }
    this.#slots.push(slot)
    return slot
  }

  /** The slot's request has gone to the target, which was asked to reply. */
  forwarded(slot: ReplySlot, answered?: ReplySlot['answered']): void {
    slot.isForwarded = true
    slot.answered = answered
    this.#forwarded.push(slot)
  }

  /** We have asked the target something of our own, among the client's requests. */
  own(answered: (isSuccess: boolean) => void): void {
    this.#forwarded.push({
      wantsReply: false,
      outcome: 'success',
      isForwarded: true,
      data: undefined,
      answered,
    })
  }

  /** The target has replied. Returns false where it had not been asked. */
  reply(isSuccess: boolean, data?: Buffer): boolean {
    const slot = this.#forwarded.shift()
    if (slot === undefined) return false
    // Where we have answered already, the target's reply only matters to us.
    if (slot.outcome === 'waiting') this.#settle(slot, isSuccess, data)
    slot.answered?.(isSuccess, data)
    return true
  }

  /** We answer it ourselves. A second answer counts for nothing. */
  settle(slot: ReplySlot, isSuccess: boolean, data?: Buffer): void {
    if (slot.outcome === 'waiting') this.#settle(slot, isSuccess, data)
  }

  #settle(slot: ReplySlot, isSuccess: boolean, data: Buffer | undefined): void {
    slot.outcome = isSuccess ? 'success' : 'failure'
    slot.data = data
    for (let head = this.#slots.peek(); head !== undefined && head.outcome !== 'waiting'; head = this.#slots.peek()) {
      this.#slots.shift()
      if (head.wantsReply) this.#send(head.outcome === 'success', head.data)
    }
  }

  /** Answers everything that waits with a failure: nobody else will. */
  failAll(): void {
    for (let head = this.#slots.peek(); head !== undefined; head = this.#slots.peek()) {
      if (head.outcome === 'waiting') this.#settle(head, false, undefined)
      else this.#slots.shift()
    }
    for (let slot = this.#forwarded.shift(); slot !== undefined; slot = this.#forwarded.shift()) {
      slot.answered?.(false, undefined)
    }
  }
}
