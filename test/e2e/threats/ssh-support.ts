import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import type { Command, SallyportError } from '../../../src/core/index.js'
import {
  finished,
  startSshGateway,
  type TestSshGateway,
  type TestSshGatewayOptions,
} from '../../support/ssh-gateway.js'
import { startSshd, type SshdServer } from '../../support/sshd.js'

/** A server that tells everything it was asked, and a gateway before it. */
export interface SshWorld {
  readonly server: SshdServer
  readonly gateway: TestSshGateway
  /** Every command that was judged, as text, with what became of it. */
  readonly judged: {
    readonly kind: string
    readonly via: string
    readonly text: string
    readonly isPermitted: boolean
  }[]
  /** What the connection refused by itself. */
  readonly refused: string[]
  readonly failures: SallyportError[]
  /** What the target has been asked since `mark`. */
  mark(): number
  logSince(mark: number): string
  program(name: string, args: readonly string[], run?: ProgramRun): Promise<Awaited<ReturnType<typeof finished>>>
  stop(): Promise<void>
}

export interface ProgramRun {
  readonly input?: string
  readonly env?: NodeJS.ProcessEnv
}

export const REMOTE = 'alice+web@127.0.0.1'

export async function startSshWorld(
  options: Partial<Omit<TestSshGatewayOptions, 'server'>> & {
    readonly settings?: readonly string[]
    readonly acceptEnv?: string
  } = {},
): Promise<SshWorld> {
  const { settings = [], acceptEnv = 'AcceptEnv *', ...rest } = options
  const server = await startSshd({ settings: [...settings, 'LogLevel DEBUG2', 'PermitTunnel yes'], acceptEnv })
  const gateway = await startSshGateway({ server, ...rest })
  const judged: SshWorld['judged'] = []
  const refused: string[] = []
  const failures: SallyportError[] = []
  gateway.gateway.events.on('judged', (_info, command, judgement) => {
    judged.push({
      kind: command.kind,
      via: viaOf(command),
      text: textOf(command),
      isPermitted: judgement.permitted,
    })
  })
  gateway.gateway.events.on('refused', (_info, via, denial) => refused.push(`${via}: ${denial.message}`))
  gateway.gateway.events.on('failed', (_info, error) => failures.push(error))
  return {
    server,
    gateway,
    judged,
    refused,
    failures,
    mark: () => server.log().length,
    logSince: (mark) => server.log().slice(mark),
    program: (name, args, run = {}) => {
      const env = { PATH: process.env['PATH'], HOME: gateway.folder, ...run.env }
      const child: ChildProcessWithoutNullStreams = spawn(name, args, { env, cwd: gateway.folder, stdio: 'pipe' })
      return finished(child, run.input)
    },
    stop: async () => {
      await gateway.stop()
      await server.stop()
    },
  }
}

function viaOf(command: Command): string {
  return command.via
}

function textOf(command: Command): string {
  return command.text
}

export async function until(check: () => boolean | Promise<boolean>, what = 'it', timeoutMs = 8_000): Promise<void> {
  for (const end = Date.now() + timeoutMs; Date.now() < end; ) {
    if (await check()) return
    await new Promise((resolve) => setTimeout(resolve, 15))
  }
  throw new Error(`${what} did not happen in time`)
}
