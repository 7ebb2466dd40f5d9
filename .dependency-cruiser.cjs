/**
 * The arrows between layers. Imports point down only:
 *
 *   cli, examples -> gateway, adapters, streams -> enforcement
 *     -> protocols | analysis | policy | masking | approval | recording | identity | credentials -> core
 *
 * Siblings do not import each other; what they share is a type in core. Tests may import anything.
 */

const MIDDLE = ['protocols', 'analysis', 'policy', 'masking', 'approval', 'recording', 'identity', 'credentials']
const PURE = ['core', ...MIDDLE, 'enforcement']

const inFolders = (folders) => `^src/(?:${folders.join('|')})/`
const notTests = '\\.test(?:-support)?\\.ts$'

/** `layer` may import itself and `lower`, and nothing else of this package. */
function layer(name, lower) {
  return {
    name: `layer-${name}`,
    comment: `${name} may import ${lower.length > 0 ? lower.join(', ') : 'nothing of this package'}`,
    severity: 'error',
    from: { path: `^src/${name}/`, pathNot: notTests },
    to: { path: '^(?:src|test|examples|bench|scripts)/', pathNot: inFolders([name, ...lower]) },
  }
}

/** A package that only `folders` may import. */
function onlyFrom(packageName, folders) {
  return {
    name: `only-${packageName}`,
    comment: `${packageName} is reachable only from the parts that need it`,
    severity: 'error',
    from: { path: '^src/', pathNot: [...folders.map((folder) => `^src/${folder}/`), notTests] },
    to: { path: `(?:^|/)node_modules/${packageName}/` },
  }
}

module.exports = {
  forbidden: [
    {
      name: 'no-circular',
      comment: 'a cycle has no bottom to test from; types count too',
      severity: 'error',
      from: { pathNot: notTests },
      to: { circular: true },
    },
    {
      name: 'no-unresolvable',
      severity: 'error',
      from: {},
      // Peers that are not installed here are imported by name at run time only.
      to: { couldNotResolve: true },
    },
    {
      name: 'no-development-dependency',
      comment: 'what is shipped may import dependencies and peers only',
      severity: 'error',
      from: { path: '^src/', pathNot: notTests },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['npm', 'npm-peer', 'npm-optional', 'type-only'] },
    },
    {
      name: 'no-undeclared-dependency',
      severity: 'error',
      from: { path: '^src/' },
      // A peer that is also installed for development is reported as both declared and not.
      to: {
        dependencyTypes: ['npm-no-pkg', 'npm-unknown'],
        dependencyTypesNot: ['npm', 'npm-dev', 'npm-peer', 'npm-optional'],
      },
    },
    {
      name: 'no-tests-in-source',
      severity: 'error',
      from: { path: '^(?:src|examples)/', pathNot: notTests },
      to: { path: notTests },
    },

    layer('core', []),
    // Kubernetes and git speak HTTP, and git speaks SSH: the only protocols that import another.
    ...MIDDLE.filter((name) => name !== 'policy').map((name) => layer(name, ['core'])),
    // Rules name facts, so policy may use the types of analysis; `policy-facts-are-types` keeps it at that.
    layer('policy', ['core', 'analysis']),
    {
      name: 'policy-facts-are-types',
      comment: 'policy uses the fact types of analysis, never its code',
      severity: 'error',
      from: { path: '^src/policy/', pathNot: notTests },
      to: { path: '^src/analysis/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'protocols-are-siblings',
      severity: 'error',
      from: { path: '^src/protocols/([^/]+)/', pathNot: ['^src/protocols/(?:kubernetes|git)/', notTests] },
      to: { path: '^src/protocols/', pathNot: '^src/protocols/$1/' },
    },
    {
      name: 'kubernetes-may-use-http',
      severity: 'error',
      from: { path: '^src/protocols/kubernetes/', pathNot: notTests },
      to: { path: '^src/protocols/', pathNot: '^src/protocols/(?:kubernetes|http)/' },
    },
    {
      name: 'git-may-use-http-and-ssh',
      severity: 'error',
      from: { path: '^src/protocols/git/', pathNot: notTests },
      to: { path: '^src/protocols/', pathNot: '^src/protocols/(?:git|http|ssh)/' },
    },
    {
      name: 'analysers-are-siblings',
      severity: 'error',
      from: { path: '^src/analysis/([^/]+)/', pathNot: notTests },
      to: { path: '^src/analysis/', pathNot: '^src/analysis/$1/' },
    },
    {
      name: 'sql-dialects-are-siblings',
      severity: 'error',
      from: { path: '^src/analysis/sql/([^/]+)/', pathNot: notTests },
      to: { path: '^src/analysis/sql/[^/]+/', pathNot: '^src/analysis/sql/$1/' },
    },
    layer('enforcement', ['core', ...MIDDLE]),
    layer('streams', PURE),
    // The gateway and the in-process guards stand on the Duplex pairs of streams.
    layer('gateway', [...PURE, 'streams']),
    layer('adapters', [...PURE, 'streams']),
    // Helpers for the tests of plug-in authors: they stand beside the streams and nothing shipped stands on them.
    layer('testing', [...PURE, 'streams']),
    {
      name: 'layer-cli',
      severity: 'error',
      from: { path: '^src/cli/', pathNot: notTests },
      to: { path: '^(?:src/testing|test|examples|bench|scripts)/' },
    },
    {
      name: 'root-is-the-paved-path',
      comment: 'the root re-exports the library; commands and test helpers have their own entries',
      severity: 'error',
      from: { path: '^src/index\\.ts$' },
      to: { path: '^src/(?:cli|testing)/' },
    },
    {
      name: 'root-is-a-leaf',
      comment: 'inside the package, import the folder, not the root',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/cli/', notTests] },
      to: { path: '^src/index\\.ts$' },
    },
    {
      name: 'examples-and-bench-use-the-library-only',
      severity: 'error',
      from: { path: '^(?:examples|bench)/', pathNot: notTests },
      to: { path: '^src/cli/' },
    },

    {
      name: 'pure-layers-have-no-io',
      comment: 'core to enforcement has no socket, file, timer, clock or process',
      severity: 'error',
      from: { path: inFolders(PURE), pathNot: notTests },
      to: {
        dependencyTypes: ['core'],
        pathNot: '^(?:node:)?(?:buffer|crypto|string_decoder|util)$',
      },
    },

    onlyFrom('libpg-query', ['analysis/sql/postgres']),
    onlyFrom('yaml', ['policy']),
    onlyFrom('re2js', ['policy', 'masking', 'analysis']),
    onlyFrom('ssh2', ['gateway/ssh']),
    onlyFrom('unbash', ['analysis/shell']),
    onlyFrom('re2', ['policy', 'masking', 'analysis']),
  ],
  options: {
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '\\.generated\\.json$' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'require', 'node', 'default', 'types'] },
  },
}
