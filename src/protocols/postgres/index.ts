import type { Protocol } from '../../core/index.js'
import { PostgresConnection } from './connection.js'
import { cancelRequest, sslRequest } from './messages.js'
import type { PostgresOptions } from './options.js'
import { ResultPlans } from './results.js'

export type { PostgresOptions, UpstreamAuthMethod } from './options.js'
export { formatScramSecret, makeScramVerifier, mockVerifier, parseScramSecret } from './scram.js'
export { DEFAULT_STARTUP_PARAMETERS } from './startup.js'

/**
 * The PostgreSQL wire protocol, versions 3.0 and 3.2.
 *
 * @see https://www.postgresql.org/docs/18/protocol.html
 */
export function postgres(options: PostgresOptions = {}): Protocol {
  const plans = new ResultPlans()
  return {
    name: 'postgres',
    createConnection: (context) => new PostgresConnection(context, options, plans),
    directTlsAlpn: ['postgresql'],
    cancellation: {
      tlsRequest: sslRequest(),
      isTlsAccepted: (byte) => byte === 0x53, // S
      message: (target) => cancelRequest(target.processId, target.secretKey),
    },
  }
}
