// The types that `sqlitrest types typescript` prints, and calls of supabase-js with them: the compiler says whether each is right or wrong.

import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import test from 'node:test'
import { fileURLToPath } from 'node:url'

const at = (path) => fileURLToPath(new URL(path, import.meta.url))

/** What the program under test prints; `xtask` says where it is and over which database it serves. */
function sqlitrest(...words) {
  const { SQLITREST_BIN, DATABASE } = process.env
  const of = ['--database', DATABASE, '--config', at('../fixture.toml')]
  return execFileSync(SQLITREST_BIN, [...words, ...of], { encoding: 'utf8' })
}

test('the type Database fits supabase-js', () => {
  writeFileSync(at('types/database.ts'), sqlitrest('types', 'typescript'))
  const compiler = at('node_modules/typescript/bin/tsc')
  const { status, stdout, stderr } = spawnSync(process.execPath, [compiler, '-p', at('types')], { encoding: 'utf8' })
  assert.equal(stdout + stderr, '')
  assert.equal(status, 0)
})
