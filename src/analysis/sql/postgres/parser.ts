import createModule from 'libpg-query/wasm/libpg-query.js'
import { type Fields, fieldsOf, listOf } from './tree.js'

/** One statement of a text: its tree and its place in the text's UTF-8 bytes. */
export interface ParsedStatement {
  readonly tree: unknown
  readonly startByte: number
  /** Undefined: to the end of the text. */
  readonly lengthBytes: number | undefined
}

export type ParseOutcome =
  | { readonly ok: true; readonly statements: readonly ParsedStatement[] }
  | { readonly ok: false; readonly problem: string }

export interface PostgresParser {
  /** Never throws. The caller has kept NUL characters and excessive sizes out. */
  parse(text: string): ParseOutcome
  /** The queries inside a PL/pgSQL body, given the CREATE FUNCTION or DO statement's text. Undefined: it does not parse. */
  parsePlpgsql(text: string): unknown
  /** How many instances were given up so far. */
  readonly restarts: number
}

/** What we use of the emscripten module. */
interface PgQueryModule {
  readonly HEAPU8: Uint8Array
  getValue(address: number, type: 'i32'): number
  UTF8ToString(address: number): string
  stringToUTF8(text: string, address: number, maxBytes: number): void
  lengthBytesUTF8(text: string): number
  _malloc(bytes: number): number
  _free(address: number): void
  _wasm_parse_query_raw(text: number): number
  _wasm_free_parse_result(result: number): void
  _wasm_parse_plpgsql(text: number): number
  _wasm_free_string(text: number): void
}

/** The heap starts at 128 MiB and never shrinks: an instance that had to grow beyond this is exchanged for a new one. */
const MAX_HEAP_BYTES = 256 * 1024 * 1024

/** Compiled code gets fast only after some calls: these are made before the first real one. */
const WARM_UP_CALLS = 60
const WARM_UP_TEXT =
  "WITH a AS (SELECT x.id, count(*) FROM t x JOIN u USING (id) WHERE x.c = $1 AND d > 'e'::date GROUP BY 1 LIMIT 5)" +
  ' UPDATE s SET b = lower(a.b), c = CASE WHEN a.x IN (1, 2.5) THEN NULL ELSE -3 END FROM a WHERE s.id = a.id RETURNING *'

/**
 * PostgreSQL's own parser, in instances of our own: after a failure that is no syntax error an instance may be broken
 * for good (its stack pointer leaks), so it is dropped. One spare stands by, because making an instance takes a
 * promise; while both are being made, texts are not parsed.
 */
export async function createPostgresParser(): Promise<PostgresParser> {
  const create = moduleFactory()
  let current: PgQueryModule | undefined = warmedUp(await create(QUIET))
  let spare: PgQueryModule | undefined = await create(QUIET)
  let pending = false
  let restarts = 0

  const refill = (): void => {
    if (pending || (current !== undefined && spare !== undefined)) return
    pending = true
    create(QUIET).then(
      (instance) => {
        pending = false
        if (current === undefined) current = instance
        else spare = instance
        refill()
      },
      () => {
        // Fails closed: without an instance every text stays unparsed. The next text tries again.
        pending = false
      },
    )
  }
  const drop = (): void => {
    restarts++
    current = spare
    spare = undefined
    refill()
  }

  return {
    get restarts() {
      return restarts
    },
    parse(text) {
      if (current === undefined) {
        refill()
        return { ok: false, problem: 'the parser is being restarted' }
      }
      try {
        const outcome = parseRaw(current, text)
        if (!outcome.ok && outcome.isBroken) drop()
        else if (current.HEAPU8.length > MAX_HEAP_BYTES) drop()
        return outcome
      } catch {
        drop()
        return { ok: false, problem: 'the parser failed' }
      }
    },
    parsePlpgsql(text) {
      if (current === undefined) return undefined
      try {
        return parsePlpgsqlRaw(current, text)
      } catch {
        drop()
        return undefined
      }
    },
  }
}

const QUIET = { print: (): void => undefined, printErr: (): void => undefined }

type ModuleFactory = (options: typeof QUIET) => Promise<PgQueryModule>

/** A CommonJS default export arrives as itself or wrapped once more, depending on who bundled us. */
function moduleFactory(): ModuleFactory {
  const imported: unknown = createModule
  const candidate = typeof imported === 'function' ? imported : fieldsOf(imported)['default']
  if (typeof candidate !== 'function') throw new TypeError('expected `libpg-query` to export its module factory')
  return candidate as ModuleFactory
}

function warmedUp(instance: PgQueryModule): PgQueryModule {
  for (let call = 0; call < WARM_UP_CALLS; call++) parseRaw(instance, WARM_UP_TEXT)
  return instance
}

type RawOutcome = ParseOutcome & { readonly isBroken?: boolean }

function parseRaw(instance: PgQueryModule, text: string): RawOutcome {
  const input = allocateText(instance, text)
  const result = instance._wasm_parse_query_raw(input)
  instance._free(input)
  if (result === 0) return { ok: false, problem: 'the parser is out of memory', isBroken: true }
  // struct { char *parse_tree; char *stderr_buffer; PgQueryError *error }
  const errorAddress = instance.getValue(result + 8, 'i32')
  const outcome = errorAddress === 0 ? readTree(instance, result) : readError(instance, errorAddress)
  instance._wasm_free_parse_result(result)
  return outcome
}

function readTree(instance: PgQueryModule, result: number): RawOutcome {
  const root: Fields = fieldsOf(JSON.parse(instance.UTF8ToString(instance.getValue(result, 'i32'))))
  if (!Array.isArray(root['stmts']) && 'stmts' in root) return { ok: false, problem: 'the parser answered nonsense' }
  const statements = listOf(root['stmts']).map((item) => {
    const fields = fieldsOf(item)
    const length = fields['stmt_len']
    return {
      tree: fields['stmt'],
      startByte: Number(fields['stmt_location'] ?? 0),
      lengthBytes: typeof length === 'number' && length > 0 ? length : undefined,
    }
  })
  return { ok: true, statements }
}

/** The message itself is not passed on: it quotes the text, and so perhaps a value. */
function readError(instance: PgQueryModule, error: number): RawOutcome {
  // struct { char *message, *funcname, *filename; int lineno, cursorpos; char *context }
  const messageAddress = instance.getValue(error, 'i32')
  const message = messageAddress === 0 ? '' : instance.UTF8ToString(messageAddress)
  const position = instance.getValue(error + 16, 'i32')
  // What the parser reports itself (syntax, nesting too deep) leaves it whole, except when memory ran out.
  if (message === '' || message.includes('memory')) return { ok: false, problem: 'the parser gave up', isBroken: true }
  return { ok: false, problem: position > 0 ? `syntax error at character ${position}` : 'syntax error' }
}

function parsePlpgsqlRaw(instance: PgQueryModule, text: string): unknown {
  const input = allocateText(instance, text)
  const result = instance._wasm_parse_plpgsql(input)
  instance._free(input)
  if (result === 0) return undefined
  const answer = instance.UTF8ToString(result)
  instance._wasm_free_string(result)
  return answer.startsWith('{') ? JSON.parse(answer) : undefined
}

function allocateText(instance: PgQueryModule, text: string): number {
  const bytes = instance.lengthBytesUTF8(text) + 1
  const address = instance._malloc(bytes)
  if (address === 0) throw new RangeError('the parser is out of memory')
  instance.stringToUTF8(text, address, bytes)
  return address
}
