import {
  type ColumnSource,
  combineStatementFacts,
  type SessionEffect,
  type SqlFacts,
  type SqlSessionState,
  type SqlStatementFacts,
  unparsedFacts,
} from '../../core/index.js'
import { newRun, type Portal, type Statement } from './pipeline.js'

/**
 * A map by name with a place of its own for the unnamed one, which comes and goes with every command: a map would be
 * rehashed each time.
 */
export class NameTable<T> {
  readonly #named = new Map<string, T>()
  #unnamed: T | undefined

  get size(): number {
    return this.#unnamed === undefined ? this.#named.size : this.#named.size + 1
  }

  get(name: string): T | undefined {
    return name === '' ? this.#unnamed : this.#named.get(name)
  }

  set(name: string, value: T): void {
    if (name === '') this.#unnamed = value
    else this.#named.set(name, value)
  }

  delete(name: string): void {
    if (name === '') this.#unnamed = undefined
    else this.#named.delete(name)
  }

  values(): readonly T[] {
    const named = [...this.#named.values()]
    return this.#unnamed === undefined ? named : [this.#unnamed, ...named]
  }

  /** Lets go of those for which `isGone` says so, and returns them. */
  deleteWhere(isGone: (name: string, value: T) => boolean): readonly T[] {
    const gone: T[] = []
    if (this.#unnamed !== undefined && isGone('', this.#unnamed)) {
      gone.push(this.#unnamed)
      this.#unnamed = undefined
    }
    if (this.#named.size === 0) return gone
    for (const [name, value] of this.#named) {
      if (!isGone(name, value)) continue
      this.#named.delete(name)
      gone.push(value)
    }
    return gone
  }
}

/** An EXECUTE can run a prepared EXECUTE. The server follows as long as its stack allows; nobody means it. */
const MAX_DEPTH = 8

/**
 * Which text stands behind each prepared statement, portal and cursor of one session, by whichever way it was made.
 *
 * INVARIANT: a name that is not here is never run: the client is told that it does not exist.
 */
export class Names {
  readonly statements = new NameTable<Statement>()
  readonly portals = new NameTable<Portal>()
  #countedBytes = 0
  /** Since they were counted last. */
  #addedBytes = 0

  /**
   * Whether as much may still be kept for this client. Counts anew only where what was added since the last time no longer
   * fits by itself.
   */
  hasRoomFor(bytes: number, maxBytes: number): boolean {
    if (this.#countedBytes + this.#addedBytes + bytes > maxBytes) {
      this.#countedBytes = 0
      for (const statement of this.statements.values()) this.#countedBytes += keptBytes(statement)
      for (const portal of this.portals.values()) this.#countedBytes += PORTAL_BYTES + describedBytes(portal)
      this.#addedBytes = 0
    }
    if (this.#countedBytes + bytes > maxBytes) return false
    this.#addedBytes += bytes
    return true
  }

  /** A description came: how large it would be nobody could tell before. */
  wasDescribed(bytes: number): void {
    this.#addedBytes += bytes
  }

  /**
   * The facts of a command with EXECUTE, FETCH and MOVE replaced by what they run. The same object where there is
   * nothing to replace.
   */
  effective(facts: SqlFacts): SqlFacts {
    if (!runsNames(facts)) return facts
    const prepared = new Map<string, SqlStatementFacts>()
    const cursors = new Map<string, SqlStatementFacts>()
    const statements: SqlStatementFacts[] = []
    for (const statement of facts.statements) {
      for (const effect of statement.effects) {
        if (effect.kind === 'prepare') prepared.set(effect.name, effect.statement)
        if (effect.kind === 'declare-cursor') cursors.set(effect.name, effect.statement)
      }
      if (statement.runs === undefined) {
        statements.push(statement)
        continue
      }
      let run = statement
      for (let depth = 0; run.runs !== undefined; depth++) {
        const { kind, name } = run.runs
        const inner =
          kind === 'prepared'
            ? (prepared.get(name) ?? only(this.statements.get(name)?.facts))
            : (cursors.get(name) ?? only(this.portals.get(name)?.facts))
        // Fails closed: nobody can say what runs.
        if (inner === undefined || depth === MAX_DEPTH)
          return unparsedFacts(`the ${kind === 'prepared' ? 'prepared statement' : 'cursor'} it runs is not known`)
        run = runOf(run, inner)
      }
      statements.push(run)
    }
    return combineStatementFacts(statements, facts.shape)
  }

  /**
   * A statement with this effect completed.
   *
   * @param by the portal that ran it, which outlives what it does to all others
   * @returns portals that are no more
   */
  apply(effect: SessionEffect, text: string, state: SqlSessionState, by?: Portal): readonly Portal[] {
    switch (effect.kind) {
      case 'prepare':
        this.statements.set(effect.name, {
          text,
          facts: factsOf(effect.statement),
          parameterTypes: [],
          state: undefined,
          description: undefined,
        })
        break
      case 'deallocate':
        // The unnamed one is none of those that DEALLOCATE and DISCARD mean.
        if (effect.name === undefined) this.statements.deleteWhere((name) => name !== '')
        else this.statements.delete(effect.name)
        break
      case 'declare-cursor': {
        const facts = factsOf(effect.statement)
        this.portals.set(effect.name, {
          text,
          facts,
          statement: undefined,
          resultFormats: [],
          state,
          survivesTransaction: effect.holds,
          isBound: true,
          description: undefined,
          run: newRun(0, facts, {}),
        })
        break
      }
      case 'close-cursor':
        return this.portals.deleteWhere((name, portal) =>
          effect.name === undefined ? portal !== by : name === effect.name,
        )
      case 'discard-all':
        this.statements.deleteWhere((name) => name !== '')
        return this.portals.deleteWhere((_name, portal) => portal !== by)
      default:
        break
    }
    return []
  }
}

/** Whether it says EXECUTE, FETCH or MOVE: what it does is what a name stands for. */
export function runsNames({ statements }: SqlFacts): boolean {
  for (let i = 0; i < statements.length; i++) if (statements[i]?.runs !== undefined) return true
  return false
}

/** Roughly. */
const PORTAL_BYTES = 1_000
const FACT_BYTES = 100

/** What a statement of this text and these facts takes of memory, roughly. */
export function keptBytes(statement: {
  readonly text: string
  readonly facts: Pick<SqlFacts, 'tables' | 'columns' | 'functions'>
  readonly description: Statement['description']
}): number {
  const { tables, columns, functions } = statement.facts
  const facts = FACT_BYTES * (10 + tables.length + columns.length + functions.length)
  return statement.text.length + facts + describedBytes(statement)
}

function describedBytes({ description }: Pick<Statement, 'description'>): number {
  return description === undefined || description === 'none' ? 0 : description.length
}

function only(facts: SqlFacts | undefined): SqlStatementFacts | undefined {
  return facts?.statements.length === 1 ? facts.statements[0] : undefined
}

function factsOf(statement: SqlStatementFacts): SqlFacts {
  return combineStatementFacts([statement], statement.verb)
}

/**
 * EXECUTE does what the prepared statement does; its own parameters may call functions as well. Around it may stand an
 * EXPLAIN, or a CREATE TABLE AS that keeps the rows.
 */
function runOf(outer: SqlStatementFacts, inner: SqlStatementFacts): SqlStatementFacts {
  const { runs: _runs, ...rest } = outer
  const isBare = BARE_VERBS.has(outer.verb)
  const definesTable = outer.tables.some((table) => table.modes.includes('ddl'))
  const outerClass = !hasHarmlessArguments(outer) ? 'unknown' : definesTable ? 'ddl' : 'read'
  const combined = combineStatementFacts([{ ...rest, class: outerClass }, inner], '')
  return {
    ...inner,
    verb: isBare ? inner.verb : outer.verb,
    output: isBare ? inner.output : outer.output,
    class: combined.class,
    certainty: combined.certainty,
    tables: combined.tables,
    columns: combined.columns,
    functions: combined.functions,
    effects: [...outer.effects, ...inner.effects],
    touchesFiles: combined.touchesFiles,
    touchesPrograms: combined.touchesPrograms,
    isDynamic: combined.isDynamic,
    launders: definesTable ? [...inner.launders, ...sourcesOf(inner)] : combined.launders,
  }
}

const BARE_VERBS: ReadonlySet<string> = new Set(['execute', 'fetch', 'move'])

/** All that a statement's rows come from. */
function sourcesOf({ output }: SqlStatementFacts): readonly ColumnSource[] {
  const everything = [{ column: '*' }]
  if (output === 'unknown') return everything
  return (output ?? []).flatMap((column) => (column.sources === 'unknown' ? everything : column.sources))
}

function hasHarmlessArguments(outer: SqlStatementFacts): boolean {
  return outer.functions.every(
    (call) => (call.volatility === 'immutable' || call.volatility === 'stable') && call.hazards.length === 0,
  )
}
