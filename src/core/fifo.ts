/** A queue whose `shift` does not move what is left. */
export class Fifo<T> {
  #items: (T | undefined)[] = []
  #head = 0
  #tail = 0

  get length(): number {
    return this.#tail - this.#head
  }

  push(item: T): void {
    this.#items[this.#tail++] = item
  }

  peek(): T | undefined {
    return this.#items[this.#head]
  }

  /** `at(0)` is the next to leave. */
  at(index: number): T | undefined {
    return this.#items[this.#head + index]
  }

  shift(): T | undefined {
    if (this.#head === this.#tail) return undefined
    const item = this.#items[this.#head]
    this.#items[this.#head++] = undefined
    if (this.#head === this.#tail) {
      // What a burst made room for is given back; the usual few places stay.
      if (this.#tail > 256) this.#items = []
      this.#head = 0
      this.#tail = 0
    } else if (this.#head > 1_024 && this.#head * 2 > this.#tail) {
      this.#items = this.#items.slice(this.#head, this.#tail)
      this.#tail -= this.#head
      this.#head = 0
    }
    return item
  }
}
