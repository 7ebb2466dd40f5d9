import type { Resource, Secret, Subject } from '../../core/index.js'
import type { SshAuthMethod } from './authentication.js'
import type { SshKeyAttempt } from './public-key.js'
import type { SshKeyFacts, SshKeyRefused } from './verdict.js'

/** One line the client is asked for. */
export interface SshPrompt {
  readonly text: string
  /** Whether what is typed shows. */
  readonly isEchoed: boolean
}

/** A keyboard-interactive round (RFC 4256 section 3.2). Without prompts it only shows its instructions. */
export interface SshPromptRound {
  readonly title: string
  readonly instructions: string
  readonly prompts: readonly SshPrompt[]
}

/** Asks the client; one answer for every prompt. Rejects when the client does not answer any more. */
export type SshAsk = (round: SshPromptRound) => Promise<readonly Secret<string>[]>

/** A request to be let in. */
export type SshAttempt =
  | ({ readonly method: 'publickey' } & Omit<SshKeyAttempt, 'clientAddress'>)
  | {
      readonly method: 'keyboard-interactive'
      readonly user: string
      readonly service: string
      readonly ask: SshAsk
      /** Aborts when the client gives this request up or goes away. */
      readonly signal?: AbortSignal
    }
  /** `none`, `password`, `hostbased` and whatever else a client asks for: refused by method. */
  | { readonly method: 'other'; readonly name: string; readonly user: string; readonly service: string }

/** What the client is answered. */
export type SshAnswer =
  /** SSH_MSG_USERAUTH_PK_OK. */
  | { readonly answer: 'acceptable' }
  /** SSH_MSG_USERAUTH_FAILURE, partial success or not. Why is for the record only. */
  | {
      readonly answer: 'reject'
      readonly methodsLeft: readonly SshAuthMethod[]
      readonly isPartial: boolean
      readonly refusal?: SshKeyRefused
    }
  /** SSH_MSG_USERAUTH_SUCCESS. */
  | { readonly answer: 'accept'; readonly admission: SshAdmission }
  /** SSH_MSG_DISCONNECT. */
  | { readonly answer: 'end'; readonly message: string; readonly refusal?: SshKeyRefused }
  /** A newer request took this one's place: answer nothing. */
  | { readonly answer: 'superseded' }

/** Who was let in, and how. */
export interface SshAdmission {
  readonly subject: Subject
  /** The part of the user name that names the person or agent. */
  readonly user: string
  /** The part that names the target, if there is one. */
  readonly target?: string
  readonly methods: readonly SshAuthMethod[]
  /** Of the keys that took part, in order. All their limits hold. */
  readonly keys: readonly SshKeyFacts[]
}

/** Who a connection comes from, for one log-in. */
export interface SshLoginContext {
  readonly clientAddress?: string
  /** What they want to reach; `target` is what the user name says. It must not tell which targets there are. */
  resource(target: string | undefined): Resource
}

/** One connection's log-in. */
export interface SshLogin {
  /** Never rejects: what goes wrong refuses. */
  attempt(attempt: SshAttempt): Promise<SshAnswer>
}

/** Decides who logs in by SSH, as `Identity` does for protocols that have one method. */
export interface SshIdentity {
  open(context: SshLoginContext): SshLogin
}

/** What a keyboard-interactive method is told. */
export interface SshInteractiveRequest {
  readonly user: string
  readonly resource: Resource
  readonly clientAddress?: string
  readonly ask: SshAsk
  readonly signal: AbortSignal
}

/** A method that asks for something: a token, an approval in a browser. */
export interface SshInteractiveMethod {
  /** Undefined, or a rejection: refused. */
  authenticate(request: SshInteractiveRequest): Promise<Subject | undefined>
}
