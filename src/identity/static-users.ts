import { createHmac } from 'node:crypto'
import {
  SallyportError,
  type IdentityProof,
  type RandomBytes,
  type ScramVerifier,
  type Subject,
} from '../core/index.js'
import { loginRefused, type Identity, type IdentityRequest } from './types.js'

/** Somebody with a secret issued by the gateway; only what is needed to verify it is kept. */
export interface StaticUser {
  /** The name given at log-in. */
  readonly user: string
  readonly subject: Subject
  readonly verifier: ScramVerifier
}

export interface StaticUsersOptions {
  readonly users: readonly StaticUser[]
  /** Draws the key of the verifiers that unknown users are challenged with. */
  readonly random: RandomBytes
}

const MOCK_ITERATIONS = 4_096
const MOCK_SALT_BYTES = 16

/**
 * Log-in by SCRAM against verifiers that the gateway issued. An unknown user is challenged like a known one,
 * with the same salt every time, and fails at the proof.
 *
 * @throws SallyportError `invalid_option` for a user that is given twice
 */
export function staticUsers(options: StaticUsersOptions): Identity {
  const users = new Map<string, StaticUser>()
  for (const entry of options.users) {
    if (users.has(entry.user)) throw new SallyportError('invalid_option', `user \`${entry.user}\` is given twice`)
    users.set(entry.user, entry)
  }
  const mockKey = options.random(32)
  const like = options.users[0]?.verifier
  return {
    challenge: ({ user }) => ({
      method: 'scram-sha-256',
      verifier: users.get(user)?.verifier ?? mockVerifier(user, mockKey, like),
    }),
    authenticate(proof: IdentityProof, { user }: IdentityRequest) {
      const known = users.get(user)
      if (known === undefined || proof.method !== 'scram-sha-256' || proof.user !== user) return loginRefused(user)
      return { isAdmitted: true, subject: known.subject }
    },
  }
}

/** No password fits it; it looks like the real ones do. */
function mockVerifier(user: string, key: Uint8Array, like: ScramVerifier | undefined): ScramVerifier {
  const derive = (purpose: string): Buffer => createHmac('sha256', key).update(`${purpose}\0${user}`).digest()
  return {
    iterations: like?.iterations ?? MOCK_ITERATIONS,
    salt: derive('salt').subarray(0, like?.salt.length ?? MOCK_SALT_BYTES),
    storedKey: derive('stored key'),
    serverKey: derive('server key'),
  }
}
