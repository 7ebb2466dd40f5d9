import type { Duplex } from 'node:stream'
import type { Side } from '../core/index.js'
import type { Driver } from './driver.js'
import type { Peer } from './peer.js'

/** How long a side may take to close after our last words were sent. Long enough for a slow link, short enough not to pile up. */
const LINGER_MS = 2_000

export interface StreamPeerOptions {
  readonly isReadElsewhere?: boolean
}

/**
 * A Node stream, such as a socket, as one side of a driver. Reads in flowing mode: between the driver's
 * return and the next chunk nothing is buffered in the stream.
 */
export class StreamPeer implements Peer {
  #stream: Duplex
  #isReadElsewhere: boolean
  #driver: Driver | undefined
  #side: Side = 'downstream'
  #isPaused = false
  #isEnding = false

  readonly #onData = (chunk: Uint8Array): void => {
    if (!this.#isEnding) this.#driver?.receive(this.#side, chunk)
  }
  readonly #onEnd = (): void => this.#driver?.ended(this.#side)
  readonly #onDrain = (): void => this.#driver?.drained(this.#side)
  readonly #onClose = (): void => this.#driver?.closed(this.#side, this.#error)
  #error: Error | undefined
  readonly #onError = (error: Error): void => {
    this.#error = error
  }

  /** @param options.isReadElsewhere chunks reach the driver by another way than `data` events (a socket's `onread`) */
  constructor(stream: Duplex, options: StreamPeerOptions = {}) {
    this.#stream = stream
    this.#isReadElsewhere = options.isReadElsewhere ?? false
    // From the start: an error before the driver is bound must not be thrown into the process.
    stream.on('error', this.#onError)
  }

  /** The transport as it is now: inside TLS once that was put on. */
  get stream(): Duplex {
    return this.#stream
  }

  /** Starts the flow of what the stream reads to the driver. */
  bind(driver: Driver, side: Side): void {
    this.#driver = driver
    this.#side = side
    this.#listen()
  }

  /** Stops listening, so that TLS can be put on. The stream is paused, and what it had read already stays in it. */
  release(): Duplex {
    const stream = this.#stream
    stream.off('data', this.#onData)
    stream.off('end', this.#onEnd)
    stream.off('drain', this.#onDrain)
    stream.off('close', this.#onClose)
    stream.pause()
    return stream
  }

  /** Goes on with another stream in place of the one {@link StreamPeer.release released}. */
  replace(stream: Duplex, options: StreamPeerOptions = {}): void {
    this.#stream = stream
    this.#isReadElsewhere = options.isReadElsewhere ?? false
    stream.on('error', this.#onError)
    this.#isPaused = false
    if (this.#driver !== undefined) this.#listen()
  }

  #listen(): void {
    const stream = this.#stream
    if (!this.#isReadElsewhere) stream.on('data', this.#onData)
    stream.on('end', this.#onEnd)
    stream.on('drain', this.#onDrain)
    stream.on('close', this.#onClose)
    if (stream.destroyed) queueMicrotask(this.#onClose)
  }

  write(bytes: Uint8Array): boolean {
    return this.#stream.write(bytes)
  }

  cork(): void {
    this.#stream.cork()
  }

  uncork(): void {
    this.#stream.uncork()
  }

  pause(): void {
    if (this.#isPaused) return
    this.#isPaused = true
    this.#stream.pause()
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.#stream.resume()
  }

  end(): void {
    this.#isEnding = true
    this.#stream.end()
    // What still comes is thrown away: closing on unread bytes would reset the connection under our last words.
    this.#stream.resume()
    const stream = this.#stream
    const linger = setTimeout(() => stream.destroy(), LINGER_MS)
    linger.unref()
    stream.once('close', () => clearTimeout(linger))
  }

  destroy(): void {
    this.#isEnding = true
    this.#stream.destroy()
  }
}
