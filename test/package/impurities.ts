import ts from 'typescript'

/** Node's modules that compute and nothing else. */
const PURE_MODULES = new Set(['node:buffer', 'node:crypto', 'node:string_decoder', 'node:util'])

/** What of node:crypto is a function of its arguments. Everything else there may draw random bytes. */
const PURE_CRYPTO = new Set([
  'createCipheriv',
  'createDecipheriv',
  'createHash',
  'createHmac',
  'createPrivateKey',
  'createPublicKey',
  'createSecretKey',
  'hash',
  'hkdfSync',
  'pbkdf2Sync',
  'scryptSync',
  'sign',
  'timingSafeEqual',
  'verify',
  'Hash',
  'Hmac',
  'KeyObject',
  'X509Certificate',
])

/** Globals that reach a clock, a timer, randomness, the process or the network. */
const IMPURE_GLOBALS = new Set([
  'crypto',
  'fetch',
  'global',
  'globalThis',
  'navigator',
  'performance',
  'process',
  'require',
  'setImmediate',
  'setInterval',
  'setTimeout',
  'BroadcastChannel',
  'MessageChannel',
  'WebSocket',
  'Worker',
])

const IMPURE_MEMBERS = new Set(['Date.now', 'Math.random', 'AbortSignal.timeout', 'Atomics.wait', 'Atomics.waitAsync'])

/**
 * Uses of the outside world in a source text, each as `line: what`. Type positions do not count. A name that
 * the file declares itself (a parameter called `process`) is not the global of that name.
 */
export function impurities(fileName: string, text: string): string[] {
  const source = ts.createSourceFile(fileName, text, ts.ScriptTarget.Latest, true)
  const declared = declaredNames(source)
  const found: string[] = []

  const report = (node: ts.Node, what: string): void => {
    found.push(`${source.getLineAndCharacterOfPosition(node.getStart()).line + 1}: ${what}`)
  }

  const isGlobal = (node: ts.Node, name?: string): node is ts.Identifier =>
    ts.isIdentifier(node) && (name === undefined || node.text === name) && !declared.has(node.text)

  const visit = (node: ts.Node): void => {
    if (ts.isTypeNode(node)) return
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) {
      for (const what of impureImport(node)) report(node, what)
      return
    }
    if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const [argument] = node.arguments
      if (argument === undefined || !ts.isStringLiteralLike(argument)) report(node, 'import of a computed name')
      else if (isNodeModule(argument.text)) report(node, `import('${argument.text}')`)
    }
    if (ts.isNewExpression(node) && isGlobal(node.expression, 'Date') && (node.arguments?.length ?? 0) === 0) {
      report(node, 'new Date()')
    }
    if (ts.isCallExpression(node) && isGlobal(node.expression, 'Date')) report(node, 'Date()')
    if (ts.isPropertyAccessExpression(node) && isGlobal(node.expression)) {
      const member = `${node.expression.text}.${node.name.text}`
      if (IMPURE_MEMBERS.has(member)) report(node, member)
    }
    if (isGlobal(node) && IMPURE_GLOBALS.has(node.text) && isReference(node)) report(node, node.text)
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

function isNodeModule(specifier: string): boolean {
  return specifier.startsWith('node:') || NODE_MODULES_WITHOUT_PREFIX.has(specifier.split('/')[0] ?? '')
}

/** Written without `node:`, a built-in looks like a package: none of them is allowed that way. */
const NODE_MODULES_WITHOUT_PREFIX = new Set([
  'assert',
  'buffer',
  'child_process',
  'cluster',
  'crypto',
  'dgram',
  'dns',
  'events',
  'fs',
  'http',
  'http2',
  'https',
  'module',
  'net',
  'os',
  'path',
  'perf_hooks',
  'process',
  'readline',
  'stream',
  'string_decoder',
  'timers',
  'tls',
  'tty',
  'url',
  'util',
  'v8',
  'vm',
  'worker_threads',
  'zlib',
])

function impureImport(node: ts.ImportDeclaration | ts.ExportDeclaration): string[] {
  if (node.moduleSpecifier === undefined || !ts.isStringLiteral(node.moduleSpecifier)) return []
  const specifier = node.moduleSpecifier.text
  if (!isNodeModule(specifier)) return []
  if (ts.isExportDeclaration(node)) return node.isTypeOnly ? [] : [`export from '${specifier}'`]
  const clause = node.importClause
  if (clause !== undefined && clause.phaseModifier === ts.SyntaxKind.TypeKeyword) return []
  if (!PURE_MODULES.has(specifier)) return [`import from '${specifier}'`]
  if (specifier !== 'node:crypto') return []
  const bindings = clause?.namedBindings
  if (clause?.name !== undefined || bindings === undefined || !ts.isNamedImports(bindings)) {
    return ["import of all of 'node:crypto': name what is used"]
  }
  return bindings.elements
    .filter((element) => !element.isTypeOnly)
    .map((element) => (element.propertyName ?? element.name).text)
    .filter((name) => !PURE_CRYPTO.has(name))
    .map((name) => `${name} of node:crypto`)
}

/** Whether an identifier is read as a value here, not the name of a property, label or declaration. */
function isReference(node: ts.Identifier): boolean {
  const { parent } = node
  if (ts.isPropertyAccessExpression(parent)) return parent.expression === node
  if (ts.isPropertyAssignment(parent)) return parent.initializer === node
  if (ts.isPropertySignature(parent)) return false
  if (ts.isPropertyDeclaration(parent)) return parent.initializer === node
  if (ts.isMethodDeclaration(parent) || ts.isMethodSignature(parent)) return false
  if (ts.isGetAccessor(parent) || ts.isSetAccessor(parent) || ts.isLabeledStatement(parent)) return false
  if (ts.isBindingElement(parent)) return parent.initializer === node
  return true
}

function declaredNames(source: ts.SourceFile): ReadonlySet<string> {
  const names = new Set<string>()
  const add = (name: ts.Node | undefined): void => {
    if (name !== undefined && ts.isIdentifier(name)) names.add(name.text)
  }
  const visit = (node: ts.Node): void => {
    if (
      ts.isVariableDeclaration(node) ||
      ts.isParameter(node) ||
      ts.isBindingElement(node) ||
      ts.isFunctionDeclaration(node) ||
      ts.isFunctionExpression(node) ||
      ts.isClassDeclaration(node) ||
      ts.isImportSpecifier(node)
    ) {
      // A parameter of a function type declares nothing that code could use.
      if (!(ts.isParameter(node) && (ts.isFunctionTypeNode(node.parent) || ts.isMethodSignature(node.parent)))) {
        add(node.name)
      }
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return names
}
