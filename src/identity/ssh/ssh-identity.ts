import type { Clock } from '../../core/index.js'
import {
  createSshAuthentication,
  type SshAuthentication,
  type SshAuthenticationOptions,
  type SshAuthMethod,
  type SshAuthOutcome,
  type SshAuthStep,
} from './authentication.js'
import { parseLoginName } from './login-name.js'
import { judgePublicKey, type SshTrust } from './public-key.js'
import type { SshAnswer, SshAttempt, SshIdentity, SshInteractiveMethod, SshLogin, SshLoginContext } from './types.js'
import type { SshKeyFacts, SshKeyRefused } from './verdict.js'

export interface SshIdentityOptions extends SshAuthenticationOptions {
  /** Asked for at every key, so that a key taken away is gone at once. */
  trust(): SshTrust | Promise<SshTrust>
  /** What keyboard-interactive does. Missing: it refuses everybody. */
  readonly interactive?: SshInteractiveMethod
  readonly clock: Clock
}

/**
 * Log-in by keys, certificates, and whatever keyboard-interactive asks for, in the chains that are given.
 *
 * @throws SallyportError `invalid_option` for chains that nobody can pass
 * @example
 * const identity = createSshIdentity({
 *   chains: [['publickey', 'keyboard-interactive']],
 *   trust: () => trust,
 *   interactive: tokenPrompt(tokens({ find: store.find, clock })),
 *   clock,
 * })
 */
export function createSshIdentity(options: SshIdentityOptions): SshIdentity {
  // Chains are checked now, not at the first log-in.
  createSshAuthentication(options)
  return { open: (context) => new Login(options, context) }
}

class Login implements SshLogin {
  readonly #options: SshIdentityOptions
  readonly #context: SshLoginContext
  readonly #authentication: SshAuthentication
  readonly #keys: SshKeyFacts[] = []
  #latest = 0
  #abort = new AbortController()

  constructor(options: SshIdentityOptions, context: SshLoginContext) {
    this.#options = options
    this.#context = context
    this.#authentication = createSshAuthentication(options)
  }

  async attempt(attempt: SshAttempt): Promise<SshAnswer> {
    const serial = ++this.#latest
    this.#abort.abort()
    const abort = new AbortController()
    this.#abort = abort
    const { user, service } = attempt
    const method = attempt.method === 'other' ? attempt.name : attempt.method
    const begun = this.#authentication.begin({ user, service, method })
    if (begun.step !== 'judge') return this.#answer(begun, user)
    let judged: Judged
    try {
      judged = await this.#judge(attempt, abort.signal)
    } catch {
      // Fails closed: a token store or provider that does not answer lets nobody in.
      judged = { outcome: { outcome: 'refused' } }
    }
    if (serial !== this.#latest) return { answer: 'superseded' }
    const step = this.#authentication.settle(judged.outcome)
    if (judged.facts !== undefined && (step.step === 'accept' || step.step === 'partial')) this.#keys.push(judged.facts)
    return this.#answer(step, user, judged.refusal)
  }

  async #judge(attempt: SshAttempt, signal: AbortSignal): Promise<Judged> {
    const name = parseLoginName(attempt.user)
    if (name === undefined || attempt.method === 'other') return { outcome: { outcome: 'refused' } }
    const { clientAddress } = this.#context
    const from = clientAddress === undefined ? {} : { clientAddress }
    if (attempt.method === 'publickey') {
      const trust = await this.#options.trust()
      const verdict = judgePublicKey({ ...attempt, ...from }, trust, this.#options.clock.nowUnixMs())
      if (verdict.outcome === 'refused') return { outcome: { outcome: 'refused' }, refusal: verdict }
      if (verdict.outcome === 'acceptable') return { outcome: verdict }
      const { subject, facts } = verdict
      return { outcome: { outcome: 'proved', subject, proof: facts.fingerprint }, facts }
    }
    const subject = await this.#options.interactive?.authenticate({
      user: name.user,
      resource: this.#context.resource(name.target),
      ...from,
      ask: attempt.ask,
      signal: attempt.signal === undefined ? signal : AbortSignal.any([signal, attempt.signal]),
    })
    return { outcome: subject === undefined ? { outcome: 'refused' } : { outcome: 'proved', subject } }
  }

  #answer(step: SshAuthStep, loginName: string, refusal?: SshKeyRefused): SshAnswer {
    const why = refusal === undefined ? {} : { refusal }
    const reject = (methodsLeft: readonly SshAuthMethod[], isPartial: boolean): SshAnswer => ({
      answer: 'reject',
      methodsLeft,
      isPartial,
      ...why,
    })
    switch (step.step) {
      case 'acceptable':
        return { answer: 'acceptable' }
      case 'reject':
        return reject(step.methodsLeft, false)
      case 'partial':
        return reject(step.methodsLeft, true)
      case 'end':
        return { answer: 'end', message: step.message, ...why }
      case 'accept': {
        const name = parseLoginName(loginName)
        if (name === undefined) return { answer: 'end', message: 'the user name is none' }
        const { subject, methods } = step
        return { answer: 'accept', admission: { subject, ...name, methods, keys: this.#keys } }
      }
      case 'judge':
        return { answer: 'end', message: 'a request was left without a judgement' }
    }
  }
}

interface Judged {
  readonly outcome: SshAuthOutcome
  readonly facts?: SshKeyFacts
  readonly refusal?: SshKeyRefused
}
