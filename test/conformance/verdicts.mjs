// Prints one line for each test of the public HTTP cache suite: kind, verdict, id and message, separated by tabs.
// use: node verdicts.mjs SUITE_DIR RESULTS.json
// A test passes when it and all tests that it depends on pass. Tests for browsers alone are left out.
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

const [suite, file] = process.argv.slice(2)
const groups = (await import(pathToFileURL(resolve(suite, 'tests/index.mjs')))).default
const results = JSON.parse(readFileSync(file, 'utf8'))
const tests = new Map()
for (const group of groups) for (const test of group.tests) tests.set(test.id, test)

function judge (id) {
  const result = results[id]
  if (result === undefined) return ['missing', '']
  const broken = (tests.get(id).depends_on ?? []).find(needed => judge(needed)[0] !== 'pass')
  if (broken) return ['dependency', `needs ${broken}`]
  if (result === true) return ['pass', '']
  return [result[0] === 'Setup' ? 'setup' : 'fail', String(result[1])]
}

for (const test of tests.values()) {
  if (test.browser_only) continue
  const [verdict, message] = judge(test.id)
  console.log([test.kind ?? 'required', verdict, test.id, message.replaceAll(/\s+/g, ' ')].join('\t'))
}
