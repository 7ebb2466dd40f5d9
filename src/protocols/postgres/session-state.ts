import type { SessionEffect, SqlSessionState } from '../../core/index.js'

/** What ReadyForQuery says of the transaction. */
export type TransactionStatus = 'idle' | 'transaction' | 'failed'

/**
 * The session state that gives later texts their meaning, as the server reports it and as statements set it.
 *
 * `current` is replaced, never changed: an unchanged object means an unchanged state.
 */
export class SessionState {
  current: SqlSessionState = { standardConformingStrings: true, clientEncoding: 'UTF8' }
  transaction: TransactionStatus = 'idle'
  /** Counts transactions: an approval given in one is not good for the next. */
  transactionSerial = 0
  /** PostgreSQL 18 and newer tell search_path, as it is when ReadyForQuery comes. In between, texts tell. */
  #reportedSearchPath: string | undefined
  #isTouchedInTransaction = false
  /** Something of what this transaction set does not outlive it, or was undone by an error. */
  #mayRevert = false

  /** The server reported a parameter. */
  report(name: string, value: string): void {
    switch (name) {
      case 'standard_conforming_strings':
        this.current = { ...this.current, standardConformingStrings: value === 'on' }
        break
      case 'client_encoding':
        this.current = { ...this.current, clientEncoding: value }
        break
      case 'server_version':
        this.current = { ...this.current, serverVersion: value }
        break
      case 'search_path':
        this.#reportedSearchPath = value
        this.current = { ...this.current, searchPath: value }
        break
      default:
        break
    }
  }

  /** A statement with this effect completed. */
  apply(effect: SessionEffect): void {
    switch (effect.kind) {
      case 'set':
        this.#isTouchedInTransaction = true
        if (effect.scope === 'local') this.#mayRevert = true
        this.#set(effect.name, effect.value)
        break
      case 'reset-all':
      case 'discard-all':
      case 'unknown':
        this.#isTouchedInTransaction = true
        this.#forget()
        break
      default:
        break
    }
  }

  /** A command failed: what its implicit transaction had set before is undone. */
  failed(): void {
    this.#mayRevert = true
  }

  /** A transaction or savepoint ended, and with it settings made in it may be undone. */
  transactionEnded(): void {
    if (this.#isTouchedInTransaction) this.#forget()
  }

  /** Whether the end of this transaction gives settings another value. */
  get isTouchedInTransaction(): boolean {
    return this.#isTouchedInTransaction
  }

  ready(status: TransactionStatus): void {
    if (status === 'idle') {
      // Also where it began and ended unseen, within one Query or pipeline.
      if (this.transaction !== 'idle' || this.#mayRevert) this.transactionEnded()
      this.#isTouchedInTransaction = false
      this.#mayRevert = false
      this.transactionSerial++
    }
    this.transaction = status
    const reported = this.#reportedSearchPath
    if (reported !== undefined && this.current.searchPath !== reported) {
      this.current = without(this.current, 'searchPath', reported)
    }
  }

  #set(name: string, value: string | undefined): void {
    switch (name) {
      case 'search_path':
        this.current = without(this.current, 'searchPath', value)
        break
      case 'role':
      case 'session_authorization':
        this.current = without(this.current, 'role', value)
        break
      default:
        break
    }
  }

  #forget(): void {
    if (this.current.searchPath !== undefined) {
      this.current = without(this.current, 'searchPath', undefined)
    }
    if (this.current.role !== undefined) this.current = without(this.current, 'role', undefined)
  }
}

function without(state: SqlSessionState, key: 'searchPath' | 'role', value: string | undefined): SqlSessionState {
  const { [key]: _old, ...rest } = state
  return value === undefined ? rest : { ...rest, [key]: value }
}
