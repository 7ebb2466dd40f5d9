import { SallyportError, type Subject } from '../../core/index.js'

/** The ways to prove who one is that a gateway offers. */
export type SshAuthMethod = 'publickey' | 'keyboard-interactive'

export interface SshAuthenticationOptions {
  /**
   * Ways in: each is a chain of methods that have to succeed in this order, and any one chain is enough.
   * `[['publickey', 'keyboard-interactive']]` asks for both. Default: `[['publickey']]`.
   */
  readonly chains?: readonly (readonly SshAuthMethod[])[]
  /** Failures until the connection ends. Default: 6, as OpenSSH; an agent with more keys than that has to choose. */
  readonly maxFailures?: number
  /** Requests of any kind, so that harmless queries end too. Default: 64. */
  readonly maxRequests?: number
}

/** What a request names, before anything of it is judged. */
export interface SshAuthRequest {
  readonly user: string
  readonly service: string
  /** Also ones that are not known: the client may ask for anything. */
  readonly method: string
}

/** What judging a request came to. */
export type SshAuthOutcome =
  | { readonly outcome: 'refused' }
  /** A query about a key: nothing is proved. */
  | { readonly outcome: 'acceptable' }
  /** @param proof what proved it, such as the key's fingerprint: a chain takes each only once */
  | { readonly outcome: 'proved'; readonly subject: Subject; readonly proof?: string }

/** What becomes of a log-in. */
export type SshAuthStep =
  /** Judge the request, then call {@link SshAuthentication.settle}. */
  | { readonly step: 'judge'; readonly method: SshAuthMethod }
  /** The key would do: say so, nothing else. */
  | { readonly step: 'acceptable' }
  /** One method of a chain succeeded; go on with one of these. */
  | { readonly step: 'partial'; readonly methodsLeft: readonly SshAuthMethod[] }
  | { readonly step: 'reject'; readonly methodsLeft: readonly SshAuthMethod[] }
  | { readonly step: 'accept'; readonly subject: Subject; readonly methods: readonly SshAuthMethod[] }
  /** The connection ends. */
  | { readonly step: 'end'; readonly message: string }

/**
 * One log-in as a state machine: `begin` a request, judge it when told to, `settle` what came of it.
 *
 *     begin --> judge --settle--> acceptable | partial | reject | accept | end
 *       `----> reject | end
 *
 * INVARIANT: `accept` follows only a `settle` of `proved` that completes a chain, all of it by one subject, under one user
 * name and service.
 */
export interface SshAuthentication {
  /** A request before its judgement is settled withdraws the one under way, which counts as failed (RFC 4252 section 5.1). */
  begin(request: SshAuthRequest): SshAuthStep
  /** @throws SallyportError `misuse` when nothing was begun */
  settle(outcome: SshAuthOutcome): SshAuthStep
  readonly isOver: boolean
}

const MAX_FAILURES = 6
const MAX_REQUESTS = 64
const OVER: SshAuthStep = { step: 'end', message: 'the log-in is over' }

/**
 * @throws SallyportError `invalid_option` for no chain, an empty one, or a limit below 1
 * @see RFC 4252 sections 4, 5
 */
export function createSshAuthentication(options: SshAuthenticationOptions = {}): SshAuthentication {
  const chains = options.chains ?? [['publickey' as const]]
  const maxFailures = options.maxFailures ?? MAX_FAILURES
  const maxRequests = options.maxRequests ?? MAX_REQUESTS
  if (chains.length === 0 || chains.some((chain) => chain.length === 0)) {
    throw new SallyportError('invalid_option', 'expected chains of at least one method each')
  }
  if (!(maxFailures >= 1) || !(maxRequests >= 1))
    throw new SallyportError('invalid_option', 'expected limits of at least 1')
  return new Login(chains, maxFailures, maxRequests)
}

class Login implements SshAuthentication {
  readonly #maxFailures: number
  readonly #maxRequests: number
  /** What is left of the chains that are still possible. */
  #chains: readonly (readonly SshAuthMethod[])[]
  #user: string | undefined
  #service: string | undefined
  #subject: Subject | undefined
  #judging: SshAuthMethod | undefined
  readonly #methods: SshAuthMethod[] = []
  readonly #proofs = new Set<string>()
  #failures = 0
  #requests = 0
  #hasAskedForMethods = false
  isOver = false

  constructor(chains: readonly (readonly SshAuthMethod[])[], maxFailures: number, maxRequests: number) {
    this.#chains = chains
    this.#maxFailures = maxFailures
    this.#maxRequests = maxRequests
  }

  begin({ user, service, method }: SshAuthRequest): SshAuthStep {
    if (this.isOver) return OVER
    if (service !== 'ssh-connection') return this.#end('the service is not `ssh-connection`')
    if (this.#user !== undefined && (user !== this.#user || service !== this.#service)) {
      return this.#end('the user name changed during the log-in')
    }
    this.#user = user
    this.#service = service
    if (++this.#requests > this.#maxRequests) return this.#end('too many authentication requests')
    if (this.#judging !== undefined) {
      this.#judging = undefined
      const step = this.#reject()
      if (step.step === 'end') return step
    }
    if (method === 'none' && !this.#hasAskedForMethods) {
      // The usual way to learn which methods there are (RFC 4252 section 5.2) is no failure once.
      this.#hasAskedForMethods = true
      return { step: 'reject', methodsLeft: this.#methodsLeft() }
    }
    const known = this.#methodsLeft().find((each) => each === method)
    if (known === undefined) return this.#reject()
    this.#judging = known
    return { step: 'judge', method: known }
  }

  settle(outcome: SshAuthOutcome): SshAuthStep {
    if (this.isOver) return OVER
    const method = this.#judging
    if (method === undefined) throw new SallyportError('misuse', 'no authentication request is under way')
    this.#judging = undefined
    if (outcome.outcome === 'acceptable') return method === 'publickey' ? { step: 'acceptable' } : this.#reject()
    if (outcome.outcome === 'refused') return this.#reject()
    const { subject, proof } = outcome
    // Fails closed: two methods that speak of two people prove neither of them.
    if (this.#subject !== undefined && this.#subject.id !== subject.id) return this.#reject()
    if (proof !== undefined && this.#proofs.has(proof)) return this.#reject()
    if (proof !== undefined) this.#proofs.add(proof)
    this.#subject ??= subject
    this.#methods.push(method)
    this.#chains = this.#chains.filter((chain) => chain[0] === method).map((chain) => chain.slice(1))
    if (this.#chains.some((chain) => chain.length === 0)) {
      this.isOver = true
      return { step: 'accept', subject: this.#subject, methods: this.#methods }
    }
    return { step: 'partial', methodsLeft: this.#methodsLeft() }
  }

  #methodsLeft(): SshAuthMethod[] {
    return [...new Set(this.#chains.flatMap((chain) => chain.slice(0, 1)))]
  }

  #reject(): SshAuthStep {
    if (++this.#failures >= this.#maxFailures) return this.#end('too many authentication failures')
    return { step: 'reject', methodsLeft: this.#methodsLeft() }
  }

  #end(message: string): SshAuthStep {
    this.isOver = true
    return { step: 'end', message }
  }
}
