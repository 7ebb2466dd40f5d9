export { createShellAnalyzer, type ShellAnalyzerOptions } from './analyzer.js'
