import type { Identity } from '../types.js'
import type { SshInteractiveMethod } from './types.js'

export interface TokenPromptOptions {
  /** Default: `Token: `. */
  readonly prompt?: string
}

/** Longest answer that is looked at. */
const MAX_TOKEN_LENGTH = 4_096

/**
 * Keyboard-interactive that asks for a token, unseen, and has an identity that takes passwords verify it: `tokens`, or another.
 *
 * @example tokenPrompt(tokens({ find: store.find, clock }))
 */
export function tokenPrompt(identity: Identity, options: TokenPromptOptions = {}): SshInteractiveMethod {
  const text = options.prompt ?? 'Token: '
  return {
    async authenticate({ user, resource, clientAddress, ask, signal }) {
      const answers = await ask({ title: '', instructions: '', prompts: [{ text, isEchoed: false }] })
      const [password, ...more] = answers
      if (password === undefined || more.length > 0 || password.expose().length > MAX_TOKEN_LENGTH) return undefined
      if (signal.aborted) return undefined
      const verdict = await identity.authenticate(
        { method: 'password', user, password },
        { user, resource, isEncrypted: true, ...(clientAddress === undefined ? {} : { clientAddress }) },
      )
      return verdict.isAdmitted ? verdict.subject : undefined
    },
  }
}
