import { inspect } from 'node:util'

/**
 * Holds a value that must never reach a log, a record or an error text.
 * Only {@link Secret.expose} reads it; every implicit conversion yields `[secret]`.
 */
export class Secret<T> {
  readonly #value: T

  constructor(value: T) {
    this.#value = value
  }

  expose(): T {
    return this.#value
  }

  toString(): string {
    return '[secret]'
  }

  toJSON(): string {
    return '[secret]'
  }

  [inspect.custom](): string {
    return '[secret]'
  }
}
