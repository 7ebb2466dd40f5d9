/**
 * Everything that has to hold before a change goes in, in one run. Every step runs even when an earlier one
 * failed, except that nothing after a failed build is asked of the package. The last line is the count of
 * tests; a failed step that is not a test counts as one failure.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

interface Outcome {
  readonly name: string
  readonly isOk: boolean
  readonly seconds: number
}

interface TestCount {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

/** The part of vitest's JSON report that is read here. */
interface TestReport {
  readonly testResults: readonly {
    readonly name: string
    readonly status: string
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[]
  }[]
}

const outcomes: Outcome[] = []

function step(name: string, command: string, args: readonly string[]): boolean {
  console.log(`\n== ${name}: ${[command, ...args].join(' ')}`)
  const startedAt = performance.now()
  const { status, error } = spawnSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'] })
  if (error !== undefined) console.error(error.message)
  const isOk = status === 0
  outcomes.push({ name, isOk, seconds: (performance.now() - startedAt) / 1000 })
  return isOk
}

function npmScript(name: string): boolean {
  return step(name, 'npm', ['run', '--silent', name])
}

/** Counts every test once. A file that could not be loaded has no tests to fail, so it counts as one. */
function count(report: TestReport): TestCount {
  let passed = 0
  let failed = 0
  let skipped = 0
  for (const file of report.testResults) {
    let failedHere = 0
    let skippedHere = 0
    for (const test of file.assertionResults) {
      if (test.status === 'passed') passed += 1
      else if (test.status === 'failed') failedHere += 1
      else {
        skippedHere += 1
        console.log(`skipped: ${test.fullName}`)
      }
    }
    if (file.status === 'failed' && failedHere + skippedHere === 0) {
      failedHere = 1
      console.log(`failed as a whole: ${file.name}`)
    }
    failed += failedHere
    skipped += skippedHere
  }
  return { passed, failed, skipped }
}

function runTests(): TestCount {
  const directory = mkdtempSync(join(tmpdir(), 'sallyport-check-'))
  try {
    const file = join(directory, 'report.json')
    step('tests', 'npx', ['vitest', 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${file}`])
    return count(JSON.parse(readFileSync(file, 'utf8')) as TestReport)
  } catch (error) {
    console.error(`vitest left no report: ${String(error)}`)
    return { passed: 0, failed: 0, skipped: 0 }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

npmScript('check:types')
npmScript('check:lint')
npmScript('check:format')
npmScript('check:layers')
const isBuilt = npmScript('build')
const tests = runTests()
if (isBuilt) npmScript('check:package')

console.log('\n== summary')
for (const { name, isOk, seconds } of outcomes) {
  console.log(`${isOk ? 'ok    ' : 'FAILED'} ${name} (${seconds.toFixed(1)} s)`)
}

// A failed test has made its step fail as well: one failure, not two.
const failedSteps = outcomes.filter(({ name, isOk }) => !isOk && (name !== 'tests' || tests.failed === 0)).length
// A test that did not run has shown nothing.
const failed = tests.failed + tests.skipped + failedSteps
console.log(`${tests.passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
