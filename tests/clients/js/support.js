// What the tests share: the server under test, how an answer is checked, and which methods were called.

import assert from 'node:assert/strict'
import test from 'node:test'
import { PostgrestClient } from '@supabase/postgrest-js'

/** Where the server listens; `xtask` says it. */
export const root = process.env.API_URL

/** A client of the API below its base path. */
export const db = new PostgrestClient(`${root}/rest/v1`, { headers: { apikey: 'anon' } })

/** The data of an answer that must be a success of this status. */
export async function data(request, status = 200) {
  const answer = await request
  assert.equal(answer.error, null)
  assert.equal(answer.status, status)
  return answer.data
}

/** One column of the rows of an answer. */
export async function column(request, name = 'id') {
  return (await data(request)).map((row) => row[name])
}

/** An answer must be this error. */
export async function refused(request, status, code, message) {
  const answer = await request
  assert.equal(answer.data, null)
  assert.deepEqual([answer.status, answer.error.code, answer.error.message], [status, code, message])
}

/**
 * Watches the methods of classes from now on, base classes last; call what it gives at the end of the file, and a test
 * fails for every method that no test has called.
 */
export function watch(classes, except = []) {
  const uncalled = new Set()
  for (const { prototype } of classes) {
    for (const name of Object.getOwnPropertyNames(prototype)) {
      // A method of a base class that was seen already cannot be reached.
      if (name === 'constructor' || except.includes(name) || uncalled.has(name)) continue
      uncalled.add(name)
      const method = prototype[name]
      prototype[name] = function (...args) {
        uncalled.delete(name)
        return method.apply(this, args)
      }
    }
  }
  return () => test('every method is called', () => assert.deepEqual([...uncalled], []))
}
