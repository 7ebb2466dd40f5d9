import type { Obligations } from '../../core/index.js'

/** Something the target may open channels to the client for. */
export interface ReversePermit {
  readonly commandId: number
  readonly obligations: Obligations
}

/** What the target was permitted to open channels for: listeners, X11, agent forwarding. */
export class ReversePermits {
  readonly #permits = new Map<string, ReversePermit>()

  get size(): number {
    return this.#permits.size
  }

  add(key: string, permit: ReversePermit): void {
    this.#permits.set(key, permit)
  }

  find(key: string): ReversePermit | undefined {
    return this.#permits.get(key)
  }

  remove(key: string): ReversePermit | undefined {
    const permit = this.#permits.get(key)
    this.#permits.delete(key)
    return permit
  }
}

export function tcpKey(host: string, port: number): string {
  return JSON.stringify(['tcp', host, port])
}

export function socketKey(path: string): string {
  return JSON.stringify(['socket', path])
}
