// Every method of PostgrestFilterBuilder.

import assert from 'node:assert/strict'
import test from 'node:test'
import { PostgrestFilterBuilder } from '@supabase/postgrest-js'
import { column, data, db, refused, watch } from './support.js'

// throwOnError is that of the base class: transforms.test.js.
const everyMethodIsCalled = watch([PostgrestFilterBuilder], ['throwOnError'])

/** The artists that a filter finds. */
function artists(name, filter, expected) {
  test(name, async () => assert.deepEqual(await column(filter(db.from('artists').select('id'))), expected))
}

artists('eq', (q) => q.eq('country', 'NO'), [2, 4])
artists('eq of a path', (q) => q.eq('info->born->>year', '2001'), [2])
artists('neq', (q) => q.neq('country', 'NO'), [1])
artists('gt', (q) => q.gt('rating', 3.25), [1])
artists('gte', (q) => q.gte('rating', 3.25), [1, 2])
artists('lt', (q) => q.lt('rating', 3.25), [4])
artists('lte', (q) => q.lte('rating', 3.25), [2, 4])
artists('like', (q) => q.like('name', 'B%'), [2])
artists('likeAllOf', (q) => q.likeAllOf('name', ['%e%', '%r']), [1, 3])
artists('likeAnyOf', (q) => q.likeAnyOf('name', ['A%', '%live']), [1, 4])
artists('ilike', (q) => q.ilike('name', 'b%'), [2, 4])
artists('ilikeAllOf', (q) => q.ilikeAllOf('name', ['b%', '%H']), [2])
artists('ilikeAnyOf', (q) => q.ilikeAnyOf('name', ['a%', 'c%']), [1, 3])
artists('regexMatch', (q) => q.regexMatch('name', '^[AB]'), [1, 2])
artists('regexIMatch', (q) => q.regexIMatch('name', '^birch'), [2, 4])
artists('is null', (q) => q.is('rating', null), [3])
artists('is true', (q) => q.is('active', true), [1, 2])
artists('isDistinct', (q) => q.isDistinct('country', 'NO'), [1, 3])
artists('in', (q) => q.in('name', ['Aster', 'birch (duo), live']), [1, 4])
artists('in nothing', (q) => q.in('id', []), [])
artists('notIn', (q) => q.notIn('name', ['Aster', 'birch (duo), live']), [2, 3])
artists('contains, an array', (q) => q.contains('genres', ['rock']), [1, 3])
artists('contains, an object', (q) => q.contains('info', { born: { year: 2001 } }), [2])
artists('contains, a text', (q) => q.contains('genres', '["rock","jazz"]'), [3])
artists('containedBy', (q) => q.containedBy('genres', ['rock', 'jazz']), [2, 3, 4])
artists('containedBy, an object', (q) => q.containedBy('info', { born: { year: 2001 }, a: 1 }), [2, 4])
artists('overlaps', (q) => q.overlaps('genres', ['folk', 'jazz']), [1, 2, 3])
artists('match', (q) => q.match({ country: 'NO', active: true }), [2])
artists('not', (q) => q.not('country', 'eq', 'NO'), [1])
artists('not is', (q) => q.not('country', 'is', null), [1, 2, 4])
artists('not in', (q) => q.not('id', 'in', '(1,2)'), [3, 4])
artists('or', (q) => q.or('id.eq.1,and(country.eq.NO,active.is.false)'), [1, 4])
artists('or, not', (q) => q.or('not.and(id.gte.2,id.lte.3),name.eq."birch (duo), live"'), [1, 4])
artists('filter', (q) => q.filter('name', 'in', '("Aster","Cedar")'), [1, 3])
artists('filter, not', (q) => q.filter('name', 'not.ilike', '*r*'), [])
artists('two filters are both meant', (q) => q.gt('id', 1).eq('active', true), [2])

test('or of a referenced table', async () => {
  const albums = { referencedTable: 'albums' }
  const request = db.from('artists').select('id,albums(title)').or('title.eq.Alpha,released.gt.2005', albums).lt('id', 4)
  assert.deepEqual(await data(request), [
    { id: 1, albums: [{ title: 'Alpha' }] },
    { id: 2, albums: [{ title: 'Gamma' }] },
    { id: 3, albums: [] },
  ])
})

test('a filter of a referenced table', async () => {
  const request = db.from('artists').select('id,albums!inner(title)').eq('albums.title', 'Gamma')
  assert.deepEqual(await data(request), [{ id: 2, albums: [{ title: 'Gamma' }] }])
})

/** The albums that a search finds. */
function textSearch(name, query, options, expected) {
  test(`textSearch, ${name}`, async () => {
    const found = db.from('albums').select('id').textSearch('liner', query, options)
    assert.deepEqual(await column(found), expected)
  })
}

textSearch('a tsquery', "fox & !'brown'", undefined, [3])
textSearch('a tsquery in a language', 'foxes | sleeping', { config: 'english' }, [1, 2, 3])
textSearch('plain', 'the jumping fox', { type: 'plain', config: 'english' }, [1, 3])
textSearch('phrase', 'lazy dog', { type: 'phrase' }, [2])
textSearch('websearch', 'dog -lazy', { type: 'websearch' }, [3])

for (const method of ['rangeGt', 'rangeGte', 'rangeLt', 'rangeLte', 'rangeAdjacent']) {
  test(method, async () => {
    const request = db.from('albums').select('id')[method]('released', '[2000,2010)')
    await refused(request, 400, 'PGRST127', 'Feature not implemented')
  })
}

everyMethodIsCalled()
