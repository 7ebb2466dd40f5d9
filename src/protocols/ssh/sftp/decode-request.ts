import {
  type Denial,
  type FileAccess,
  type FileAccessMode,
  printableText,
  type SftpOperation,
  SshReader,
} from '../../../core/index.js'
import { decodePath, directoryOf, type PathResolver, type ResolvedPath } from '../files/paths.js'
import { type Attributes, hasSpecialBits, modeText, readAttributes } from './attributes.js'
import type { OpenHandle, OpenRights } from './handles.js'
import * as p from './packet-types.js'

/** What of a permitted request is needed when its answer comes. */
export interface FollowUp {
  /** The packet type that answers it; a STATUS always may. */
  readonly expects: number
  readonly handle?: OpenHandle
  readonly opens?: OpenRights
  /** The answer is a canonical path, and may be that of the working directory. */
  readonly learns?: 'path' | 'working-directory'
  /** Names may mean something else behind it; the path that moved, for a rename. */
  readonly moves?: { readonly from?: string }
  readonly isClose?: boolean
  /** Asked by the machine: the client does not hear of the answer. */
  readonly isOwn?: boolean
}

/** What an operation does, for rules and people. */
export interface JudgedOperation {
  readonly operation: SftpOperation
  readonly files: readonly FileAccess[]
  readonly text: string
  readonly extension?: string
}

export type DecodedRequest =
  | { readonly kind: 'judge'; readonly judged: JudgedOperation; readonly followUp: FollowUp }
  /** Part of what was permitted before, or nothing that a rule could mind. */
  | { readonly kind: 'pass'; readonly followUp: FollowUp }
  | { readonly kind: 'deny'; readonly code: number; readonly denial: Denial }

export interface RequestContext {
  readonly paths: PathResolver
  readonly maxPathBytes: number
  readonly isLinkFirst: boolean
  handle(key: string): OpenHandle | undefined
  /** Whether the server announced it and the client was told. */
  mayExtend(name: string): boolean
}

/** Names of handles are at most so long (section 4 of the draft). */
const MAX_HANDLE_BYTES = 256
const MAX_EXTENSION_NAME_BYTES = 128

/** Everything of a request but READ and WRITE, which {@link DecodedRequest} would be too slow for. */
export function decodeRequest(type: number, body: Buffer, context: RequestContext): DecodedRequest {
  return new RequestDecoder(type, body, context).decode()
}

class RequestDecoder {
  readonly #type: number
  readonly #reader: SshReader
  readonly #context: RequestContext

  /** @param body what follows the id */
  constructor(type: number, body: Buffer, context: RequestContext) {
    this.#type = type
    this.#context = context
    this.#reader = new SshReader(body, { message: p.packetName(type), code: 'protocol_violation' })
  }

  decode(): DecodedRequest {
    switch (this.#type) {
      case p.OPEN:
        return this.#open()
      case p.OPENDIR: {
        const path = this.#path()
        this.#reader.finish()
        const opens: OpenRights = { kind: 'directory', path, canRead: true, canWrite: false }
        return judge('opendir', `opendir ${shown(path)}`, [access(path, 'list')], { expects: p.HANDLE, opens })
      }
      case p.LSTAT:
      case p.STAT:
        return this.#onePath('stat', ['list'], { expects: p.ATTRS })
      case p.REALPATH:
        return this.#realpath()
      case p.READLINK:
        return this.#onePath('readlink', ['list'], { expects: p.NAME })
      case p.REMOVE:
        return this.#onePath('remove', ['delete'], { expects: p.STATUS, moves: {} })
      case p.RMDIR:
        return this.#onePath('rmdir', ['delete'], { expects: p.STATUS, moves: {} })
      case p.MKDIR:
        return this.#mkdir()
      case p.SETSTAT:
        return this.#setstat(this.#path())
      case p.FSETSTAT:
        return this.#onHandle('any', (handle) => this.#setstat(handle.rights.path, handle))
      case p.RENAME:
        return this.#rename()
      case p.SYMLINK:
        return this.#symlink()
      case p.CLOSE:
        return this.#onHandle('any', (handle) => pass({ expects: p.STATUS, handle, isClose: true }))
      case p.FSTAT:
        return this.#onHandle('any', (handle) => pass({ expects: p.ATTRS, handle }))
      case p.READDIR:
        return this.#onHandle('directory', (handle) => pass({ expects: p.NAME, handle }))
      case p.EXTENDED:
        return this.#extended()
      default:
        return unsupported(`packet type ${this.#type} is not supported`)
    }
  }

  /** string filename, uint32 pflags, ATTRS attrs (section 6.3). */
  #open(): DecodedRequest {
    const path = this.#path()
    const flags = this.#reader.uint32()
    const attributes = this.#attributes()
    this.#reader.finish()
    if ((flags & ~p.PFLAGS_KNOWN) !== 0 || !attributes.isKnown) {
      return unsupported('open flags or attributes are not those of version 3')
    }
    const isWrite = (flags & p.PFLAG_WRITE) !== 0
    // Without either, OpenSSH opens for reading; TRUNCATE empties the file however it is opened.
    const isRead = (flags & p.PFLAG_READ) !== 0 || !isWrite
    const modes: FileAccessMode[] = []
    if (isRead) modes.push('read')
    if (isWrite || (flags & (p.PFLAG_APPEND | p.PFLAG_TRUNCATE)) !== 0) modes.push('write')
    const words: string[] = []
    if ((flags & p.PFLAG_CREATE) !== 0) {
      modes.push('create')
      words.push('create')
      if (hasSpecialBits(attributes.permissions)) {
        modes.push('metadata')
        words.push(`mode ${modeText(attributes.permissions ?? 0)}`)
      }
    }
    if ((flags & p.PFLAG_TRUNCATE) !== 0) words.push('truncate')
    if ((flags & p.PFLAG_APPEND) !== 0) words.push('append')
    if ((flags & p.PFLAG_EXCLUSIVE) !== 0) words.push('exclusive')
    const purpose = isWrite ? (isRead ? 'reading and writing' : 'writing') : 'reading'
    const text = `open ${shown(path)} for ${purpose}${words.length === 0 ? '' : ` (${words.join(', ')})`}`
    return judge('open', text, [access(path, ...modes)], {
      expects: p.HANDLE,
      opens: { kind: 'file', path, canRead: isRead, canWrite: isWrite },
    })
  }

  /**
   * string path (section 6.11). That of the working directory is part of every session and is permitted with it: without its
   * answer no relative path could be judged.
   */
  #realpath(): DecodedRequest {
    const bytes = this.#reader.string()
    const path = this.#resolve(bytes)
    this.#reader.finish()
    if (bytes.length === 0 || bytes.equals(DOT)) return pass({ expects: p.NAME, learns: 'working-directory' })
    return judge('realpath', `realpath ${shown(path)}`, [access(path, 'list')], { expects: p.NAME, learns: 'path' })
  }

  /** string path, ATTRS attrs (section 6.6). */
  #mkdir(): DecodedRequest {
    const path = this.#path()
    const attributes = this.#attributes()
    this.#reader.finish()
    if (!attributes.isKnown) return unsupported('extended attributes are not supported')
    const isSpecial = hasSpecialBits(attributes.permissions)
    const modes: FileAccessMode[] = isSpecial ? ['create', 'metadata'] : ['create']
    const text = `mkdir ${shown(path)}${isSpecial ? ` (mode ${modeText(attributes.permissions ?? 0)})` : ''}`
    return judge('mkdir', text, [access(path, ...modes)], { expects: p.STATUS })
  }

  /** What follows a path or a handle: ATTRS attrs (section 6.9). */
  #setstat(path: ResolvedPath, handle?: OpenHandle): DecodedRequest {
    const attributes = this.#attributes()
    this.#reader.finish()
    if (!attributes.isKnown) return unsupported('extended attributes are not supported')
    const modes: FileAccessMode[] = attributes.hasSize ? ['metadata', 'write'] : ['metadata']
    const text = `setstat ${shown(path)} (${attributes.words.join(', ') || 'nothing'})`
    return judge('setstat', text, [access(path, ...modes)], {
      expects: p.STATUS,
      ...(handle === undefined ? {} : { handle }),
    })
  }

  /** string oldpath, string newpath (section 6.5). What a directory holds moves along, so both stand for all below them. */
  #rename(): DecodedRequest {
    const from = this.#path()
    const to = this.#path()
    this.#reader.finish()
    const files = [recursive(from, 'read', 'delete'), recursive(to, 'create', 'write')]
    return judge('rename', `rename ${shown(from)} to ${shown(to)}`, files, {
      expects: p.STATUS,
      moves: { from: from.path },
    })
  }

  /**
   * string targetpath, string linkpath: the order of OpenSSH, not that of the draft (section 6.10). Whoever may go through
   * the link may read and write what it points to, unseen: so it counts as both.
   */
  #symlink(): DecodedRequest {
    const first = this.#reader.string()
    const second = this.#reader.string()
    this.#reader.finish()
    const [targetBytes, linkBytes] = this.#context.isLinkFirst ? [second, first] : [first, second]
    const link = this.#resolve(linkBytes)
    const directory = { path: directoryOf(link.path), isExact: link.isExact }
    const target = this.#resolve(targetBytes, directory)
    const files = [access(link, 'create'), recursive(target, 'read', 'write')]
    return judge('symlink', `symlink ${shown(link)} to ${shown(target)}`, files, { expects: p.STATUS, moves: {} })
  }

  #onePath(operation: SftpOperation, modes: readonly FileAccessMode[], followUp: FollowUp): DecodedRequest {
    const path = this.#path()
    this.#reader.finish()
    return judge(operation, `${operation} ${shown(path)}`, [access(path, ...modes)], followUp)
  }

  /** string request name, then what the name says. */
  #extended(): DecodedRequest {
    const name = this.#reader.name(MAX_EXTENSION_NAME_BYTES)
    if (!this.#context.mayExtend(name)) return unsupported(`extension ${name} is not supported`)
    switch (name) {
      case 'posix-rename@openssh.com':
        return this.#rename()
      case 'hardlink@openssh.com': {
        const from = this.#path()
        const to = this.#path()
        this.#reader.finish()
        const files = [access(from, 'read', 'write'), access(to, 'create')]
        return judge('hardlink', `hardlink ${shown(from)} as ${shown(to)}`, files, { expects: p.STATUS, moves: {} })
      }
      case 'lsetstat@openssh.com':
        return this.#setstat(this.#path())
      case 'statvfs@openssh.com':
        return this.#onePath('statvfs', ['list'], { expects: p.EXTENDED_REPLY })
      case 'fstatvfs@openssh.com':
        return this.#onHandle('any', (handle) => pass({ expects: p.EXTENDED_REPLY, handle }))
      case 'fsync@openssh.com':
        return this.#onHandle('file', (handle) => {
          const { path } = handle.rights
          return judge('fsync', `fsync ${shown(path)}`, [access(path, 'write')], { expects: p.STATUS, handle })
        })
      case 'limits@openssh.com':
        this.#reader.finish()
        return pass({ expects: p.EXTENDED_REPLY })
      case 'expand-path@openssh.com':
        return this.#expandPath()
      case 'home-directory': {
        const user = this.#reader.text(MAX_HANDLE_BYTES)
        this.#reader.finish()
        const path = { path: `~${user}`, isExact: false }
        return judge('realpath', `home-directory ${printableText(user)}`, [access(path, 'list')], { expects: p.NAME })
      }
      case 'copy-data':
        return this.#copy()
      case 'users-groups-by-id@openssh.com': {
        const count = (this.#reader.string().length + this.#reader.string().length) >> 2
        this.#reader.finish()
        const judged = { operation: 'extension', extension: name, files: [], text: `${name} (${count} ids)` } as const
        return { kind: 'judge', judged, followUp: { expects: p.EXTENDED_REPLY } }
      }
      default:
        return unsupported(`extension ${name} is not supported`)
    }
  }

  /** string path, in which the server replaces a leading `~` and `~user`. */
  #expandPath(): DecodedRequest {
    const bytes = this.#reader.string()
    const plain = this.#resolve(bytes)
    this.#reader.finish()
    const isHome = bytes[0] === 0x7e // ~
    const path = isHome ? { path: bytes.toString('utf8'), isExact: false } : plain
    return judge('realpath', `expand-path ${shown(path)}`, [access(path, 'list')], { expects: p.NAME })
  }

  /** string read-from-handle, uint64 offset, uint64 length, string write-to-handle, uint64 offset. */
  #copy(): DecodedRequest {
    const reader = this.#reader
    const from = this.#context.handle(reader.string(MAX_HANDLE_BYTES).toString('latin1'))
    reader.bytes(16)
    const to = this.#context.handle(reader.string(MAX_HANDLE_BYTES).toString('latin1'))
    reader.bytes(8)
    reader.finish()
    if (from === undefined || to === undefined) return unknownHandle()
    if (from.rights.kind !== 'file' || !from.rights.canRead) return notOpenedFor('reading')
    if (to.rights.kind !== 'file' || !to.rights.canWrite) return notOpenedFor('writing')
    const files = [access(from.rights.path, 'read'), access(to.rights.path, 'write')]
    const text = `copy ${shown(from.rights.path)} to ${shown(to.rights.path)}`
    return judge('copy', text, files, { expects: p.STATUS, handle: to })
  }

  #onHandle(kind: OpenRights['kind'] | 'any', then: (handle: OpenHandle) => DecodedRequest): DecodedRequest {
    const handle = this.#context.handle(this.#reader.string(MAX_HANDLE_BYTES).toString('latin1'))
    if (handle === undefined) return unknownHandle()
    if (kind !== 'any' && handle.rights.kind !== kind) return notOpenedFor(kind === 'file' ? 'this' : 'listing')
    const decoded = then(handle)
    this.#reader.finish()
    return decoded
  }

  #attributes(): Attributes {
    return readAttributes(this.#reader)
  }

  #path(): ResolvedPath {
    return this.#resolve(this.#reader.string())
  }

  #resolve(bytes: Buffer, base?: ResolvedPath): ResolvedPath {
    const { maxPathBytes, paths } = this.#context
    if (bytes.length > maxPathBytes) throw this.#reader.limit(`has a path of more than ${maxPathBytes} bytes`)
    const decoded = decodePath(bytes)
    if (decoded === undefined) throw this.#reader.problem('has a path with a NUL byte')
    return paths.resolve(decoded, base)
  }
}

const DOT = Buffer.from('.')

function judge(
  operation: SftpOperation,
  text: string,
  files: readonly FileAccess[],
  followUp: FollowUp,
): DecodedRequest {
  return { kind: 'judge', judged: { operation, files, text }, followUp }
}

function pass(followUp: FollowUp): DecodedRequest {
  return { kind: 'pass', followUp }
}

function unsupported(message: string): DecodedRequest {
  return { kind: 'deny', code: p.FX_OP_UNSUPPORTED, denial: { reason: 'unsupported', message } }
}

export function unknownHandle(): DecodedRequest & { kind: 'deny' } {
  const denial: Denial = { reason: 'unsupported', message: 'no such handle is open' }
  return { kind: 'deny', code: p.FX_FAILURE, denial }
}

export function notOpenedFor(purpose: string): DecodedRequest & { kind: 'deny' } {
  const denial: Denial = { reason: 'unsupported', message: `the handle was not opened for ${purpose}` }
  return { kind: 'deny', code: p.FX_PERMISSION_DENIED, denial }
}

function access({ path, isExact }: ResolvedPath, ...modes: FileAccessMode[]): FileAccess {
  return { path, modes, isRecursive: false, isExact }
}

function recursive({ path, isExact }: ResolvedPath, ...modes: FileAccessMode[]): FileAccess {
  return { path, modes, isRecursive: true, isExact }
}

function shown({ path }: ResolvedPath): string {
  return printableText(path)
}
