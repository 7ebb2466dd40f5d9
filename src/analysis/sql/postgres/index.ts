export { createPostgresAnalyzer, type PostgresAnalyzerOptions } from './analyzer.js'
