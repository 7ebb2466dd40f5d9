import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { ROOT, sourceFiles } from './source-files.js'

const files = sourceFiles('src')
const parse = (file: string): ts.SourceFile =>
  ts.createSourceFile(file, readFileSync(join(ROOT, file), 'utf8'), ts.ScriptTarget.Latest, true)

describe('the source files', () => {
  it('name what they export: no `export *`', () => {
    const starred = files.filter((file) =>
      parse(file).statements.some(
        (statement) => ts.isExportDeclaration(statement) && statement.exportClause === undefined,
      ),
    )
    expect(starred).toEqual([])
  })

  it('have names in kebab-case', () => {
    const others = files.filter(
      (file) => !/^(?:[a-z0-9]+(?:-[a-z0-9]+)*\/)*[a-z0-9-]+(?:\.generated|\.d)?\.ts$/.test(file),
    )
    expect(others).toEqual([])
  })

  it('have no mutable state at module level', () => {
    const mutable = files.flatMap((file) =>
      parse(file)
        .statements.filter(ts.isVariableStatement)
        .filter((statement) => (statement.declarationList.flags & ts.NodeFlags.Const) === 0)
        .filter((statement) => !statement.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.DeclareKeyword))
        .map((statement) => `${file}: ${statement.getText().split('\n', 1)[0] ?? ''}`),
    )
    expect(mutable).toEqual([])
  })

  it('leave nothing for later', () => {
    const later = files.flatMap((file) =>
      readFileSync(join(ROOT, file), 'utf8')
        .split('\n')
        .flatMap((line, index) => (/\b(?:TODO|FIXME|XXX|HACK)\b/.test(line) ? [`${file}:${index + 1}`] : [])),
    )
    expect(later).toEqual([])
  })
})
