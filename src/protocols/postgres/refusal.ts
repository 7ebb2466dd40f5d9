import type { Denial, ReasonCode } from '../../core/index.js'
import { errorResponse } from './messages.js'

/**
 * What goes upstream in place of a refused message. The server's own syntax error then does what only the
 * server can do exactly: it answers in order, discards to Sync, aborts the transaction block or rolls back the implicit
 * one, and reports the true status. Its text is replaced by the denial on the way back.
 */
export const REFUSED_TEXT = 'sallyport refused a command'

/** A name for statements of our own; a client that uses it is refused. */
export const RESERVED_STATEMENT = 'sallyport'

const SQLSTATES: Readonly<Record<ReasonCode, string>> = {
  rule: '42501', // insufficient_privilege
  default: '42501',
  unparsed: '42501',
  unsupported: '0A000', // feature_not_supported
  'engine-error': '42501',
  'recorder-unavailable': '58030', // io_error
  'approval-rejected': '42501',
  'approval-expired': '42501',
  'approval-unavailable': '42501',
  withdrawn: '57014', // query_canceled
  limit: '54000', // program_limit_exceeded
  revoked: '57P01', // admin_shutdown
  masking: '42501',
}

/** The ErrorResponse that tells a client of a denial. */
export function denialResponse(denial: Denial, severity: 'ERROR' | 'FATAL', code?: string): Buffer {
  const rule = denial.ruleId === undefined ? '' : `, rule: ${denial.ruleId}`
  return errorResponse({
    severity,
    code: code ?? SQLSTATES[denial.reason],
    message: denial.message,
    detail: `Refused by sallyport (reason: ${denial.reason}${rule}).`,
    ...(denial.hint === undefined ? {} : { hint: denial.hint }),
  })
}
