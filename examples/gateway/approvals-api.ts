import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { ApproverAnswer, HoldView, MemoryBroker } from '../../src/approval/index.js'
import type { Subject } from '../../src/core/index.js'

/** Somebody who may approve. Their token is given out once and kept as a digest. */
export interface Approver {
  readonly subject: Subject
  /** SHA-256 of the bearer token. */
  readonly tokenDigest: Uint8Array
}

export interface ApprovalsApiOptions {
  readonly broker: MemoryBroker
  readonly approvers: readonly Approver[]
  readonly port: number
}

export interface ApprovalsApi {
  readonly port: number
  close(): Promise<void>
}

const HOST = '127.0.0.1'
const MAX_BODY_BYTES = 16_384
/** A person's reason; more is not read by another one. */
const MAX_REASON_LENGTH = 1_000

/**
 * Lets people decide over held commands:
 * `GET /holds`, `GET /holds/:id` (JSON, or text for `Accept: text/plain`), `POST /holds/:id/approve` and `POST /holds/:id/reject`.
 * On the loopback only, with one bearer token per approver.
 */
export async function startApprovalsApi(options: ApprovalsApiOptions): Promise<ApprovalsApi> {
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000, maxHeaderSize: 8_192 })
  const port = await listen(server, options.port)
  const hosts = new Set([`${HOST}:${port}`, `localhost:${port}`])
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    handle(request, response, options, hosts).catch(() => send(response, 500, { error: 'internal error' }))
  })
  return {
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function handle(
  request: IncomingMessage,
  response: ServerResponse,
  { broker, approvers }: ApprovalsApiOptions,
  hosts: ReadonlySet<string>,
): Promise<void> {
  // A web page can make a browser ask us under another name (DNS rebinding); it cannot choose this header.
  if (!hosts.has(request.headers.host ?? '')) return send(response, 421, { error: 'unknown host' })
  if (request.headers.origin !== undefined) return send(response, 403, { error: 'not for web pages' })
  const approver = approverOf(request.headers.authorization, approvers)
  if (approver === undefined) return send(response, 401, { error: 'a bearer token of an approver is needed' })

  const [path = ''] = (request.url ?? '').split('?')
  const [, root, id, action, ...rest] = path.split('/')
  if (root !== 'holds' || rest.length > 0) return send(response, 404, { error: 'no such path' })
  if (request.method === 'GET' && action === undefined) {
    if (id === undefined || id === '') return send(response, 200, broker.list())
    const hold = broker.get(id)
    if (hold === undefined) return send(response, 404, { error: 'no such hold waits' })
    if (wantsText(request)) return sendText(response, describe(hold))
    return send(response, 200, hold)
  }
  if (request.method !== 'POST' || id === undefined || (action !== 'approve' && action !== 'reject')) {
    return send(response, 405, { error: 'not possible here' })
  }
  const body = await readJson(request)
  if (body === undefined) return send(response, 400, { error: 'expected a small JSON object, as application/json' })
  const reason = typeof body['reason'] === 'string' ? body['reason'].slice(0, MAX_REASON_LENGTH) : undefined
  if (action === 'approve') return sendAnswer(response, broker.approve(id, approver, reason))
  if (reason === undefined || reason.trim() === '')
    return send(response, 400, { error: 'a rejection needs a `reason`' })
  return sendAnswer(response, broker.reject(id, approver, reason))
}

function approverOf(header: string | undefined, approvers: readonly Approver[]): Subject | undefined {
  const token = /^Bearer ([\x21-\x7e]{1,512})$/.exec(header ?? '')?.[1]
  if (token === undefined) return undefined
  const digest = createHash('sha256').update(token).digest()
  let found: Subject | undefined
  for (const { subject, tokenDigest } of approvers) if (timingSafeEqual(digest, tokenDigest)) found = subject
  return found
}

async function readJson(request: IncomingMessage): Promise<Record<string, unknown> | undefined> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > MAX_BODY_BYTES) return undefined
    chunks.push(chunk)
  }
  if (bytes === 0) return {}
  if (!/^application\/json\b/.test(request.headers['content-type'] ?? '')) return undefined
  try {
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'))
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

function wantsText(request: IncomingMessage): boolean {
  return (request.headers.accept ?? '').includes('text/plain')
}

/** What a person reads before they decide. Every part has been made safe to show by the broker. */
function describe(hold: HoldView): string {
  return [
    `hold       ${hold.holdId}`,
    `requester  ${hold.requester.id}${hold.requester.onBehalfOf === undefined ? '' : ` for ${hold.requester.onBehalfOf}`}`,
    `resource   ${hold.resource.name}`,
    `rule       ${hold.ruleId ?? '-'}: ${hold.message ?? ''}`,
    `digest     ${hold.digest}`,
    `expires    ${new Date(hold.expiresAtUnixMs).toISOString()}`,
    `missing    ${hold.approvalsMissing} approval(s)`,
    ...hold.warnings.map((warning) => `WARNING    ${warning}`),
    ...hold.effects.map((effect) => `does       ${effect}`),
    '',
    hold.display,
    ...hold.values,
    '',
  ].join('\n')
}

function sendAnswer(response: ServerResponse, answer: ApproverAnswer): void {
  if (answer.ok) return send(response, 200, { phase: answer.phase, approvalsMissing: answer.approvalsMissing })
  const { code, message } = answer.refusal
  send(response, code === 'unknown-hold' ? 404 : 409, { error: message, code })
}

function send(response: ServerResponse, status: number, body: unknown): void {
  if (response.headersSent) return
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' })
  response.end(`${JSON.stringify(body, null, 2)}\n`)
}

function sendText(response: ServerResponse, text: string): void {
  response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' })
  response.end(text)
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, HOST, () => resolve((server.address() as AddressInfo).port))
  })
}
