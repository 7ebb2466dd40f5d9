import { isUtf8 } from 'node:buffer'
import { asciiJson } from './line.js'
import { redactSecretsInCommandLine } from './redact-command-line.js'
import type { StreamEvent } from './stream-events.js'

/** The members of a stream event's line behind `type` and `at`, without a comma in front. */
export function streamEventJson(event: StreamEvent): string {
  switch (event.type) {
    case 'resize':
      return membersOf({ commandId: event.commandId, columns: whole(event.columns), rows: whole(event.rows) })
    case 'detected':
      return membersOf({ commandId: event.commandId, text: redactSecretsInCommandLine(event.text) })
    case 'input': {
      const command = membersOf({ commandId: event.commandId })
      return 'bytes' in event ? `${command},${inputJson(event.bytes)}` : `${command},"isHidden":true`
    }
    case 'transfer': {
      const { commandId, direction, bytes, sha256, runs, omittedRuns } = event
      const path = redactSecretsInCommandLine(event.path)
      const more = omittedRuns > 0 ? { omittedRuns } : {}
      return membersOf({ commandId, direction, path, bytes, sha256, runs, ...more })
    }
    case 'content': {
      const { commandId, direction, offset } = event
      return `${membersOf({ commandId, direction, offset: whole(offset) })},${bytesJson(event.bytes)}`
    }
    default:
      return event satisfies never
  }
}

/** Exactly the bytes: as text where they are UTF-8, as base64 where not. */
export function bytesJson(exact: Uint8Array): string {
  const bytes = Buffer.from(exact.buffer, exact.byteOffset, exact.byteLength)
  return isUtf8(bytes) ? `"utf8":${asciiJson(bytes.toString('utf8'))}` : `"base64":"${bytes.toString('base64')}"`
}

function inputJson(exact: Uint8Array): string {
  const bytes = Buffer.from(exact.buffer, exact.byteOffset, exact.byteLength)
  if (!isUtf8(bytes)) return bytesJson(bytes)
  const text = bytes.toString('utf8')
  const shown = redactSecretsInCommandLine(text)
  return `"utf8":${asciiJson(shown)}${shown === text ? '' : ',"redacted":true'}`
}

function membersOf(members: object): string {
  return asciiJson(members).slice(1, -1)
}

function whole(value: number): number {
  return Number.isSafeInteger(value) ? value : 0
}
