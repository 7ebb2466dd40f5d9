import { createHash } from 'node:crypto'
import { ByteWriter, type Command, type Resource, type Subject } from '../core/index.js'
import { encodeCanonical } from './canonical.js'
import { forwardMeaning, requestMeaning, sftpMeaning, shellMeaning, sqlMeaning } from './meaning.js'

/** Everything that gives a held command its meaning. Change any of it and an approval no longer fits. */
export interface DigestInput {
  readonly subject: Subject
  readonly resource: Resource
  readonly sessionId: string
  readonly command: Command
  /** Digest of the policy that asked for the hold. */
  readonly policyDigest: string
}

/** Tells these digests apart from every other use of SHA-256 in a record. */
const DOMAIN = 'sallyport hold v1'

/**
 * The lower-case hexadecimal SHA-256 that an approval is bound to. The command's number and the hold's id
 * are no part of it: it names what would run, and the hold is what makes an approval single-use.
 *
 * @throws SallyportError `misuse` when a plug-in's command has no canonical form
 */
export function holdDigest(input: DigestInput): string {
  return createHash('sha256').update(encodeDigestInput(input)).digest('hex')
}

/** What {@link holdDigest} hashes: no two different inputs give the same bytes. */
export function encodeDigestInput(input: DigestInput): Uint8Array {
  const writer = new ByteWriter(1024)
  encodeCanonical(writer, DOMAIN)
  encodeCanonical(writer, input.sessionId)
  encodeCanonical(writer, input.policyDigest)
  const { id, type, groups, onBehalfOf, attributes } = input.subject
  encodeCanonical(writer, { id, type, groups, onBehalfOf, attributes })
  const { name, protocol, tags } = input.resource
  encodeCanonical(writer, { name, protocol, tags })
  encodeCanonical(writer, meaningOf(input.command))
  return writer.view()
}

function meaningOf(command: Command): unknown {
  switch (command.kind) {
    case 'sql':
      return sqlMeaning(command)
    case 'shell':
    case 'terminal':
      return shellMeaning(command)
    case 'sftp':
      return sftpMeaning(command)
    case 'port-forward':
      return forwardMeaning(command)
    case 'ssh-request':
      return requestMeaning(command)
    default:
      // Plug-ins add kinds that this file does not know.
      command satisfies never
      return genericMeaning(command)
  }
}

/** Facts are left out: they follow from the rest, and computing them here could be slow. */
function genericMeaning(command: object): unknown {
  const meaning: Record<string, unknown> = Object.create(null)
  for (const [key, value] of Object.entries(command)) {
    if (key !== 'id' && key !== 'facts') meaning[key] = value
  }
  return meaning
}
