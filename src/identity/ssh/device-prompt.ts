import { type Clock, printableText, type Resource, type Schedule, type Subject } from '../../core/index.js'
import type { SshInteractiveMethod } from './types.js'

/** For whom an approval is asked. */
export interface DeviceRequest {
  readonly user: string
  readonly resource: Resource
  readonly clientAddress?: string
}

/** An approval that was asked for and has not come yet (RFC 8628 section 3.2). */
export interface DeviceAuthorization {
  readonly verificationUri: string
  readonly userCode: string
  /** How long to wait between polls. Default: 5 s. */
  readonly intervalMs?: number
  /** When the code stops being good. Default: what the prompt waits for at most. */
  readonly expiresInMs?: number
  /** Asks the provider; `slow-down` adds to the interval. A rejection refuses. */
  poll(): Promise<DevicePoll>
  /** Called once when nobody waits any more. */
  cancel?(): void
}

/** RFC 8628 section 3.5. */
export type DevicePoll =
  | { readonly state: 'pending' | 'slow-down' | 'denied' | 'expired' }
  /** Who approved. They have to be who logs in: `subject` decides. */
  | { readonly state: 'granted'; readonly subject: Subject }

/** A provider of device approvals: starts one for every log-in. */
export interface DeviceFlow {
  start(request: DeviceRequest): Promise<DeviceAuthorization>
}

export interface DevicePromptOptions {
  readonly clock: Clock
  readonly schedule: Schedule
  /** Nobody is waited for longer than this. Default: 2 minutes, OpenSSH's own grace time for a log-in. */
  readonly maxWaitMs?: number
}

const MAX_WAIT_MS = 120_000
const INTERVAL_MS = 5_000
const MIN_INTERVAL_MS = 1_000
/** RFC 8628 section 3.5: by how much `slow_down` lengthens the interval. */
const SLOW_DOWN_MS = 5_000
const MAX_SHOWN_LENGTH = 512

/**
 * Keyboard-interactive that shows an address and a code, then waits until somebody has entered it there.
 *
 * Who approves has to look at what they approve: somebody may be talked into entering a code of another's log-in. The provider's page
 * should show `clientAddress` and the target, and the flow's `granted` must name who approved, never who asked.
 */
export function devicePrompt(flow: DeviceFlow, options: DevicePromptOptions): SshInteractiveMethod {
  const { clock, schedule } = options
  const maxWaitMs = options.maxWaitMs ?? MAX_WAIT_MS
  return {
    async authenticate({ user, resource, clientAddress, ask, signal }) {
      const from = clientAddress === undefined ? {} : { clientAddress }
      const authorization = await flow.start({ user, resource, ...from })
      try {
        const waitMs = Math.min(maxWaitMs, authorization.expiresInMs ?? maxWaitMs)
        const untilUnixMs = clock.nowUnixMs() + waitMs
        const hasSeen = await within(
          waitMs,
          ask({
            title: '',
            instructions: `To log in, open ${shown(authorization.verificationUri)} and enter the code ${shown(authorization.userCode)}\n`,
            prompts: [],
          }),
          schedule,
          signal,
        )
        if (!hasSeen) return undefined
        let intervalMs = Math.max(MIN_INTERVAL_MS, authorization.intervalMs ?? INTERVAL_MS)
        for (;;) {
          const leftMs = untilUnixMs - clock.nowUnixMs()
          if (signal.aborted || leftMs <= 0) return undefined
          await pause(Math.min(intervalMs, leftMs), schedule, signal)
          if (signal.aborted) return undefined
          const poll = await authorization.poll()
          if (poll.state === 'granted') return signal.aborted ? undefined : poll.subject
          if (poll.state === 'denied' || poll.state === 'expired') return undefined
          if (poll.state === 'slow-down') intervalMs += SLOW_DOWN_MS
        }
      } finally {
        authorization.cancel?.()
      }
    },
  }
}

/** It is shown on the client's terminal, and comes from a provider. */
function shown(text: string): string {
  return printableText(text).slice(0, MAX_SHOWN_LENGTH)
}

/** Whether `work` is done in time. */
async function within(
  delayMs: number,
  work: Promise<unknown>,
  schedule: Schedule,
  signal: AbortSignal,
): Promise<boolean> {
  const done = new AbortController()
  const late = pause(delayMs, schedule, AbortSignal.any([signal, done.signal])).then(() => false)
  try {
    return await Promise.race([work.then(() => true), late])
  } finally {
    done.abort()
  }
}

/** Waits, or until the signal aborts. */
function pause(delayMs: number, schedule: Schedule, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      cancel()
      signal.removeEventListener('abort', done)
      resolve()
    }
    const cancel = schedule(delayMs, done)
    signal.addEventListener('abort', done)
  })
}
