// Every method of PostgrestClient and PostgrestQueryBuilder. What is written has an owner of its own in each test.

import assert from 'node:assert/strict'
import test from 'node:test'
import { PostgrestClient, PostgrestQueryBuilder } from '@supabase/postgrest-js'
import { column, data, db, refused, root, watch } from './support.js'

const clientIsCalled = watch([PostgrestClient])
const queryIsCalled = watch([PostgrestQueryBuilder])

const notes = () => db.from('notes')
const written = (owner, columns = 'id,body') => data(notes().select(columns).eq('owner', owner).order('id'))

test('from', async () => {
  assert.deepEqual(await column(db.from('artists').select()), [1, 2, 3, 4])
  const nothing = "Could not find the table 'main.artist' in the schema cache"
  await refused(db.from('artist').select(), 404, 'PGRST205', nothing)
  assert.throws(() => db.from(' '), /Invalid relation name/)
})

test('schema', async () => {
  assert.deepEqual(await column(db.schema('main').from('artists').select('id').lt('id', 3)), [1, 2])
})

test('the options of the client', async () => {
  const asked = []
  const watching = (url, options) => {
    asked.push([url, options.headers.apikey])
    return fetch(url, options)
  }
  const client = new PostgrestClient(`${root}/rest/v1`, { fetch: watching, headers: { apikey: 'mine' }, timeout: 5000 })
  assert.deepEqual(await column(client.from('artists').select('id').eq('id', 1)), [1])
  assert.deepEqual(asked, [[`${root}/rest/v1/artists?select=id&id=eq.1`, 'mine']])
  const beside = new PostgrestClient(root)
  await refused(beside.from('artists').select(), 404, 'PGRST125', 'Invalid path specified in request URL')
})

test('select', async () => {
  assert.deepEqual(await data(db.from('artists').select().eq('id', 1)), [
    {
      id: 1,
      name: 'Aster',
      country: 'IE',
      rating: 4.5,
      active: true,
      info: { site: 'aster.example', born: { year: 1990 } },
      genres: ['rock', 'folk'],
    },
  ])
})

test('select, what is asked for', async () => {
  const columns = `
    called:name, year:info->born->year, rating::text,
    albums ( title, decade, tracks ( name ) ), latest_album ( title )`
  assert.deepEqual(await data(db.from('artists').select(columns).eq('id', 2)), [
    {
      called: 'Birch',
      year: 2001,
      rating: '3.25',
      albums: [{ title: 'Gamma', decade: 2010, tracks: [{ name: 'five' }] }],
      latest_album: { title: 'Gamma' },
    },
  ])
})

test('select, aggregates and spreads', async () => {
  const columns = 'name, seconds.sum(), ...albums(album:title)'
  const totals = db.from('tracks').select('seconds.sum(),...albums(title)').order('albums(title)')
  assert.deepEqual(await data(totals), [
    { sum: 600, title: 'Alpha' },
    { sum: 150, title: 'Beta' },
    { sum: 50, title: 'Gamma' },
  ])
  assert.deepEqual(await data(db.from('tracks').select(columns).eq('id', 4)), [{ name: 'four', sum: 150, album: 'Beta' }])
})

for (const count of ['exact', 'planned', 'estimated']) {
  test(`select, count ${count}`, async () => {
    const answer = await db.from('artists').select('id', { count }).gt('id', 1).limit(2)
    assert.deepEqual([answer.data, answer.count, answer.status], [[{ id: 2 }, { id: 3 }], 3, 206])
  })
}

test('select, head', async () => {
  const answer = await db.from('artists').select('*', { head: true, count: 'exact' })
  assert.deepEqual([answer.data, answer.count, answer.status, answer.error], [null, 4, 200, null])
})

test('select, a column that is not there', async () => {
  await refused(db.from('artists').select('nam'), 400, '42703', 'column artists.nam does not exist')
})

test('insert', async () => {
  assert.equal(await data(notes().insert({ owner: 'insert', body: 'b' }), 201), null)
  assert.deepEqual(await written('insert', 'owner,slug,body,stars'), [{ owner: 'insert', slug: null, body: 'b', stars: null }])
})

test('insert, rows with other columns', async () => {
  const rows = [{ id: 101, owner: 'insert rows' }, { id: 102, owner: 'insert rows', body: 'two' }]
  const answer = await notes().insert(rows, { count: 'exact' })
  assert.deepEqual([answer.error, answer.status, answer.count, answer.data], [null, 201, 2, null])
  assert.deepEqual(await written('insert rows'), [{ id: 101, body: null }, { id: 102, body: 'two' }])
})

test('insert, defaultToNull: false', async () => {
  const rows = [{ id: 111, owner: 'insert defaults' }, { id: 112, owner: 'insert defaults', body: 'two' }]
  const inserted = await data(notes().insert(rows, { defaultToNull: false }).select('id,body'), 201)
  assert.deepEqual(inserted, [{ id: 111, body: 'empty' }, { id: 112, body: 'two' }])
})

test('insert, what the database refuses', async () => {
  const slug = 'duplicate key value violates unique constraint "notes_slug_key"'
  await refused(notes().insert({ owner: 'insert', slug: 'first' }), 409, '23505', slug)
  const owner = 'null value in column "owner" of relation "notes" violates not-null constraint'
  await refused(notes().insert({ body: 'x' }), 400, '23502', owner)
  // SQLite does not say which.
  const album = 'write to table "albums" violates a foreign key constraint'
  await refused(db.from('albums').insert({ artist_id: 99, title: 'x' }), 409, '23503', album)
  await refused(notes().insert({ owner: 'insert', stars: 6 }), 400, '23514',
    'new row for relation "notes" violates check constraint "notes_stars_check"')
  const unknown = "Could not find the 'bodi' column of 'notes' in the schema cache"
  await refused(notes().insert([{ owner: 'insert', bodi: 'x' }]), 400, 'PGRST204', unknown)
})

test('upsert', async () => {
  const first = notes().upsert([{ id: 201, owner: 'upsert', body: 'one' }, { id: 202, owner: 'upsert', body: 'two' }])
  assert.equal(await data(first, 201), null)
  const again = notes().upsert([{ id: 202, owner: 'upsert', body: 'new' }, { id: 203, owner: 'upsert', body: 'three' }])
  const answer = await data(again.select('id,body').order('id', { ascending: false }), 201)
  assert.deepEqual(answer, [{ id: 203, body: 'three' }, { id: 202, body: 'new' }])
  assert.deepEqual(await written('upsert'), [
    { id: 201, body: 'one' },
    { id: 202, body: 'new' },
    { id: 203, body: 'three' },
  ])
})

test('upsert, onConflict', async () => {
  const upsert = (body) => notes().upsert({ owner: 'upsert slug', slug: 'u', body }, { onConflict: 'slug', count: 'exact' })
  assert.deepEqual(await data(upsert('one').select('body').single(), 201), { body: 'one' })
  const merged = await upsert('two').select('body').single()
  assert.deepEqual([merged.data, merged.count, merged.status], [{ body: 'two' }, 1, 200])
  assert.equal((await written('upsert slug')).length, 1)
})

test('upsert, ignoreDuplicates', async () => {
  const rows = [{ id: 211, owner: 'upsert ignore', body: 'one' }]
  await data(notes().upsert(rows), 201)
  const more = [{ id: 211, owner: 'upsert ignore', body: 'lost' }, { id: 212, owner: 'upsert ignore', body: 'two' }]
  assert.deepEqual(await data(notes().upsert(more, { ignoreDuplicates: true }).select('id'), 201), [{ id: 212 }])
  assert.deepEqual(await written('upsert ignore'), [{ id: 211, body: 'one' }, { id: 212, body: 'two' }])
})

test('upsert, defaultToNull: false', async () => {
  const rows = [{ id: 221, owner: 'upsert defaults' }, { id: 222, owner: 'upsert defaults', body: 'two' }]
  const upserted = await data(notes().upsert(rows, { defaultToNull: false }).select('id,body'), 201)
  assert.deepEqual(upserted, [{ id: 221, body: 'empty' }, { id: 222, body: 'two' }])
})

test('update', async () => {
  await data(notes().insert([{ id: 301, owner: 'update', body: 'a' }, { id: 302, owner: 'update', body: 'b' }]), 201)
  assert.equal(await data(notes().update({ body: 'new' }).eq('id', 301), 204), null)
  assert.deepEqual(await written('update'), [{ id: 301, body: 'new' }, { id: 302, body: 'b' }])
  const all = await notes().update({ stars: 3 }, { count: 'exact' }).eq('owner', 'update')
  assert.deepEqual([all.error, all.count, all.status], [null, 2, 204])
  assert.deepEqual(await data(notes().update({ stars: 4 }).eq('id', 302).select('id,stars')), [{ id: 302, stars: 4 }])
  assert.deepEqual(await data(notes().update({ stars: 4 }).eq('id', -1).select()), [])
})

test('delete', async () => {
  await data(notes().insert([401, 402, 403].map((id) => ({ id, owner: 'delete', body: `${id}` }))), 201)
  assert.equal(await data(notes().delete().eq('id', 401), 204), null)
  assert.deepEqual(await data(notes().delete().eq('id', 402).select('id,body')), [{ id: 402, body: '402' }])
  const rest = await notes().delete({ count: 'exact' }).eq('owner', 'delete')
  assert.deepEqual([rest.error, rest.count, rest.status], [null, 1, 204])
  assert.deepEqual(await written('delete'), [])
})

test('rpc', async () => {
  assert.equal(await data(db.rpc('add', { a: 1, b: 2 })), 3)
  assert.equal(await data(db.rpc('add', { a: 1 })), 11)
  assert.equal(await data(db.rpc('hello')), 'hello world')
  assert.deepEqual(await column(db.rpc('albums_among', { ids: [1, 3] }), 'title'), ['Alpha', 'Gamma'])
  assert.deepEqual(await column(db.rpc('albums_like', { wanted: { title: '%eta' } }), 'title'), ['Beta'])
  await refused(db.rpc('add', { c: 1 }), 404, 'PGRST202',
    'Could not find the function main.add(c) in the schema cache')
})

test('rpc, its rows', async () => {
  const request = db.rpc('albums_of', { artist: 1 }).select('title,artists(name)').gt('released', 2000)
  assert.deepEqual(await data(request), [{ title: 'Beta', artists: { name: 'Aster' } }])
  const last = db.rpc('albums_of', { artist: 1 }).order('id', { ascending: false }).limit(1).select('title').single()
  assert.deepEqual(await data(last), { title: 'Beta' })
})

test('rpc, get', async () => {
  assert.equal(await data(db.rpc('add', { a: 1, b: undefined }, { get: true })), 11)
  const some = db.rpc('albums_among', { ids: [1, 3] }, { get: true })
  assert.deepEqual(await column(some, 'title'), ['Alpha', 'Gamma'])
  await refused(db.rpc('forget', { owner: 'rpc get' }, { get: true }), 405, '25006',
    'cannot execute function forget in a read-only transaction')
})

test('rpc, head and count', async () => {
  const head = await db.rpc('albums_of', { artist: 1 }, { head: true, count: 'exact' })
  assert.deepEqual([head.data, head.count, head.status], [null, 2, 200])
  const one = await db.rpc('albums_of', { artist: 1 }, { count: 'exact' }).limit(1)
  assert.deepEqual([one.data.length, one.count, one.status], [1, 2, 206])
  // An object does not fit into a URL: it is sent by POST.
  const posted = await db.rpc('albums_like', { wanted: { title: '%a' } }, { head: true, count: 'exact' })
  assert.deepEqual([posted.error, posted.count], [null, 4])
})

test('rpc, one that writes', async () => {
  assert.deepEqual(await column(db.rpc('write_note', { owner: 'rpc' }), 'body'), ['by a function', 'and another'])
  assert.equal(await data(db.rpc('forget', { owner: 'rpc' }), 204), null)
  assert.deepEqual(await written('rpc'), [])
})

clientIsCalled()
queryIsCalled()
