// @supabase/supabase-js, which asks below /rest/v1 and sends apikey and Authorization.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import test from 'node:test'
import { createClient } from '@supabase/supabase-js'
import { column, data, refused, root } from './support.js'

const asked = []
const supabase = createClient(root, 'anon-key', {
  auth: { persistSession: false, autoRefreshToken: false },
  // Without it, Node before 22 is told to install one, though no channel is opened.
  realtime: { transport: class {} },
  global: {
    fetch: (url, options) => {
      const headers = new Headers(options.headers)
      asked.push([options.method, new URL(url).pathname, headers.get('apikey'), headers.get('authorization')])
      return fetch(url, options)
    },
  },
})

test('from', async () => {
  const request = supabase.from('artists').select('name,albums(title)').eq('country', 'NO').order('id')
  assert.deepEqual(await data(request), [
    { name: 'Birch', albums: [{ title: 'Gamma' }] },
    { name: 'birch (duo), live', albums: [] },
  ])
  assert.deepEqual(asked.at(-1), ['GET', '/rest/v1/artists', 'anon-key', 'Bearer anon-key'])
})

test('schema', async () => {
  assert.deepEqual(await column(supabase.schema('main').from('artists').select('id').eq('id', 2)), [2])
})

test('rpc', async () => {
  assert.equal(await data(supabase.rpc('add', { a: 20, b: 22 })), 42)
  assert.deepEqual(asked.at(-1), ['POST', '/rest/v1/rpc/add', 'anon-key', 'Bearer anon-key'])
})

test('writes', async () => {
  const notes = () => supabase.from('notes')
  const note = { id: 601, owner: 'supabase', body: 'one' }
  assert.deepEqual(await data(notes().insert(note).select('id,body').single(), 201), { id: 601, body: 'one' })
  assert.deepEqual(await data(notes().upsert({ ...note, body: 'two' }).select('body')), [{ body: 'two' }])
  assert.deepEqual(await data(notes().update({ body: 'three' }).eq('id', 601).select('body')), [{ body: 'three' }])
  assert.equal(await data(notes().delete().eq('id', 601), 204), null)
  assert.deepEqual(await data(notes().select().eq('owner', 'supabase')), [])
})

test('errors', async () => {
  const message = "Could not find the table 'main.nothing' in the schema cache"
  await refused(supabase.from('nothing').select(), 404, 'PGRST205', message)
})

test('the page of examples/todo has this very library', () => {
  const [theirs, ours] = [
    './node_modules/@supabase/supabase-js/dist/umd/supabase.js',
    '../../../examples/todo/public/supabase.js',
  ].map((path) => readFileSync(new URL(path, import.meta.url)))
  assert.ok(ours.equals(theirs))
})
