// Every method of PostgrestTransformBuilder and PostgrestBuilder.

import assert from 'node:assert/strict'
import test from 'node:test'
import { PostgrestBuilder, PostgrestClient, PostgrestError, PostgrestTransformBuilder } from '@supabase/postgrest-js'
import { column, data, db, refused, root, watch } from './support.js'

const everyMethodIsCalled = watch([PostgrestTransformBuilder, PostgrestBuilder])

const artists = (columns = 'id') => db.from('artists').select(columns)
const notes = () => db.from('notes')
const written = (owner) => data(notes().select('id,body').eq('owner', owner).order('id'))

test('select, of what was written', async () => {
  const request = notes().insert({ owner: 'select', body: 'b' }).select('said:body, stars')
  assert.deepEqual(await data(request, 201), [{ said: 'b', stars: null }])
})

test('order', async () => {
  assert.deepEqual(await column(artists().order('name')), [1, 2, 3, 4])
  assert.deepEqual(await column(artists().order('name', { ascending: false })), [4, 3, 2, 1])
  assert.deepEqual(await column(artists().order('rating')), [4, 2, 1, 3])
  assert.deepEqual(await column(artists().order('rating', { nullsFirst: true })), [3, 4, 2, 1])
  assert.deepEqual(await column(artists().order('rating', { ascending: false })), [3, 1, 2, 4])
  assert.deepEqual(await column(artists().order('rating', { ascending: false, nullsFirst: false })), [1, 2, 4, 3])
  assert.deepEqual(await column(artists().order('active').order('id', { ascending: false })), [4, 3, 2, 1])
})

test('order of a referenced table', async () => {
  const albums = artists('albums(title)').eq('id', 1)
  const order = albums.order('title', { referencedTable: 'albums', ascending: false })
  assert.deepEqual(await data(order), [{ albums: [{ title: 'Beta' }, { title: 'Alpha' }] }])
})

test('order by a referenced table', async () => {
  const request = db.from('albums').select('id,artists()').order('artists(name)', { ascending: false }).order('id')
  assert.deepEqual(await column(request), [4, 3, 1, 2])
})

test('limit', async () => {
  assert.deepEqual(await column(artists().limit(2)), [1, 2])
  assert.deepEqual(await data(artists('id,albums(title)').limit(1).limit(1, { referencedTable: 'albums' })), [
    { id: 1, albums: [{ title: 'Alpha' }] },
  ])
})

test('range', async () => {
  assert.deepEqual(await column(artists().range(1, 2)), [2, 3])
  assert.deepEqual(await column(artists().range(7, 9)), [])
  assert.deepEqual(await data(artists('albums(title)').eq('id', 1).range(1, 1, { referencedTable: 'albums' })), [
    { albums: [{ title: 'Beta' }] },
  ])
  const counted = db.from('artists').select('id', { count: 'exact' })
  await refused(counted.range(7, 9), 416, 'PGRST103', 'Requested range not satisfiable')
})

test('abortSignal', async () => {
  assert.deepEqual(await column(artists().limit(1).abortSignal(new AbortController().signal)), [1])
  const aborted = await artists().abortSignal(AbortSignal.abort())
  assert.equal(aborted.error.hint, 'Request was aborted (timeout or manual cancellation)')
})

test('single', async () => {
  assert.deepEqual(await data(artists('name').eq('id', 1).single()), { name: 'Aster' })
  const message = 'Cannot coerce the result to a single JSON object'
  await refused(artists().eq('id', 99).single(), 406, 'PGRST116', message)
  await refused(artists().single(), 406, 'PGRST116', message)
})

test('single, of what was written', async () => {
  const two = [{ owner: 'single' }, { owner: 'single' }]
  await refused(notes().insert(two).select().single(), 406, 'PGRST116', 'Cannot coerce the result to a single JSON object')
  assert.deepEqual(await written('single'), [])
})

test('maybeSingle', async () => {
  assert.deepEqual(await data(artists('name').eq('id', 1).maybeSingle()), { name: 'Aster' })
  assert.equal(await data(artists('name').eq('id', 99).maybeSingle()), null)
  await refused(artists().maybeSingle(), 406, 'PGRST116', 'JSON object requested, multiple (or no) rows returned')
})

test('csv', async () => {
  const request = artists('id,name,rating,active,genres').gt('id', 2).csv()
  assert.equal(await data(request), 'id,name,rating,active,genres\n3,Cedar,,f,"[""rock"",""jazz""]"\n4,"birch (duo), live",2.5,f,[]')
})

test('geojson', async () => {
  const message = 'None of these media types are available: application/geo+json'
  await refused(artists().geojson(), 406, 'PGRST107', message)
})

test('explain', async () => {
  const request = () => artists().eq('id', 1)
  assert.equal(await data(request().explain()), 'page\n  SEARCH t0 USING INTEGER PRIMARY KEY (rowid=?)\n')
  assert.match(await data(request().explain({ verbose: true })), /^page  SELECT t0\."id" AS "id" FROM "artists" AS t0 /)
  assert.deepEqual(await data(request().explain({ format: 'json' })), [
    { Step: 'page', Plans: [{ Detail: 'SEARCH t0 USING INTEGER PRIMARY KEY (rowid=?)', Plans: [] }] }
  ])
})

test('rollback', async () => {
  const request = notes().insert({ id: 501, owner: 'rollback' }).rollback().select('id')
  assert.deepEqual(await data(request, 201), [{ id: 501 }])
  assert.deepEqual(await written('rollback'), [])
})

test('returns', async () => {
  assert.deepEqual(await data(artists().eq('id', 1).returns()), [{ id: 1 }])
})

test('overrideTypes', async () => {
  assert.deepEqual(await data(artists().eq('id', 1).overrideTypes()), [{ id: 1 }])
})

test('maxAffected', async () => {
  const rows = [1, 2].map((n) => ({ id: 510 + n, owner: 'maxAffected', body: 'old' }))
  await data(notes().insert(rows), 201)
  const update = () => notes().update({ body: 'new' }).eq('owner', 'maxAffected')
  const message = 'Query result exceeds max-affected preference constraint'
  await refused(update().maxAffected(1), 400, 'PGRST124', message)
  await refused(notes().delete().eq('owner', 'maxAffected').maxAffected(1), 400, 'PGRST124', message)
  assert.deepEqual(await written('maxAffected'), [{ id: 511, body: 'old' }, { id: 512, body: 'old' }])
  assert.equal(await data(update().maxAffected(2), 204), null)
  assert.deepEqual(await written('maxAffected'), [{ id: 511, body: 'new' }, { id: 512, body: 'new' }])
  await refused(db.rpc('write_note', { owner: 'maxAffected' }).maxAffected(1), 400, 'PGRST124', message)
  assert.equal((await written('maxAffected')).length, 2)
})

test('stripNulls', async () => {
  const cedar = artists('id,country,rating').eq('id', 3)
  assert.deepEqual(await data(cedar.stripNulls()), [{ id: 3 }])
  assert.deepEqual(await data(artists('id,rating').eq('id', 3).single().stripNulls()), { id: 3 })
})

test('throwOnError', async () => {
  assert.deepEqual(await column(artists().eq('id', 1).throwOnError()), [1])
  await assert.rejects(async () => artists('nothing').throwOnError(), (error) => {
    assert.ok(error instanceof PostgrestError)
    assert.deepEqual(error.toJSON(), {
      name: 'PostgrestError',
      code: '42703',
      message: 'column artists.nothing does not exist',
      details: null,
      hint: 'Perhaps you meant to reference the column "artists.rating".',
    })
    return true
  })
})

test('setHeader', async () => {
  assert.equal(await data(db.rpc('hello').setHeader('x-name', 'you')), 'hello you')
  assert.deepEqual(await column(artists().setHeader('Range', '1-2')), [2, 3])
})

test('retry', async () => {
  let calls = 0
  const failingOnce = (...args) => (++calls === 1 ? Promise.reject(new TypeError('no network')) : fetch(...args))
  const client = new PostgrestClient(`${root}/rest/v1`, { fetch: failingOnce })
  const answer = await client.from('artists').select('id').eq('id', 1).retry(false)
  assert.deepEqual([answer.error.message, calls], ['TypeError: no network', 1])
  assert.deepEqual(await column(client.from('artists').select('id').eq('id', 1).retry(true)), [1])
})

everyMethodIsCalled()
