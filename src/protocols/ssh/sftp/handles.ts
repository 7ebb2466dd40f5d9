import type { Denial, Obligations } from '../../../core/index.js'
import { TransferMeter } from '../files/transfer-meter.js'
import type { ResolvedPath } from '../files/paths.js'

/** What an open request asks for. */
export interface OpenRights {
  readonly kind: 'file' | 'directory'
  readonly path: ResolvedPath
  readonly canRead: boolean
  readonly canWrite: boolean
}

/** A file or directory that the server has opened after a permit. */
export class OpenHandle {
  readonly commandId: number
  readonly rights: OpenRights
  readonly obligations: Obligations
  /** The server's name for it, as latin1. */
  readonly key: string
  /** Requests on their way that name it. */
  inFlight = 0
  /** Names of a directory that were passed on. */
  rows = 0
  bytes = 0
  /** Set when a cap was reached: nothing of its content passes any more. */
  capped: Denial | undefined
  /** The code of the first write, or of the close, that the server failed. */
  failure: { readonly code: string; readonly message: string } | undefined
  /** What the server answered to its closing; undefined while it is open. */
  closedWith: string | undefined
  #read: TransferMeter | undefined
  #write: TransferMeter | undefined

  constructor(commandId: number, key: string, rights: OpenRights, obligations: Obligations) {
    this.commandId = commandId
    this.key = key
    this.rights = rights
    this.obligations = obligations
  }

  get reader(): TransferMeter {
    this.#read ??= new TransferMeter(this.commandId, 'read', this.rights.path.path, this.obligations)
    return this.#read
  }

  get writer(): TransferMeter {
    this.#write ??= new TransferMeter(this.commandId, 'write', this.rights.path.path, this.obligations)
    return this.#write
  }

  /** Those in use. */
  get meters(): TransferMeter[] {
    return [this.#read, this.#write].filter((meter) => meter !== undefined)
  }

  /** Counts content that is about to pass. Returns why it must not. */
  take(bytes: number): Denial | undefined {
    if (this.capped !== undefined) return this.capped
    const max = this.obligations.maxBytes
    if (max !== undefined && this.bytes + bytes > max) {
      this.capped = { reason: 'limit', message: `more than ${max} bytes of one file may not pass` }
      return this.capped
    }
    this.bytes += bytes
    return undefined
  }

  /** The same for names of a directory. */
  takeRows(rows: number): Denial | undefined {
    const max = this.obligations.maxRows
    if (this.capped === undefined && max !== undefined && this.rows + rows > max) {
      this.capped = { reason: 'limit', message: `more than ${max} names of one directory may not pass` }
    }
    if (this.capped !== undefined) return this.capped
    this.rows += rows
    return undefined
  }
}
