// Calls of supabase-js with the types that `sqlitrest types typescript` has printed into database.ts: what is to be right is, and what
// is to be wrong is an error. Nothing here is run.

import { createClient } from '@supabase/supabase-js'
import { Constants } from './database.js'
import type { Database, Enums, Json, Tables, TablesInsert, TablesUpdate } from './database.js'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

/** `same<A, B>(true)` compiles where A and B are one type. */
declare function same<A, B>(_: Equal<A, B>): void

const db = createClient<Database>('http://localhost', 'key')

export async function reads() {
  const all = await db.from('albums').select('*')
  type Album = NonNullable<typeof all.data>[number]
  same<Album['title'], string>(true)
  same<Album['released'], number | null>(true)
  // @ts-expect-error there is no such column
  void ({} as Album).titel

  const one = await db.from('artists').select('name, active, rating, info').eq('id', 1).single()
  same<NonNullable<typeof one.data>, { name: string; active: boolean; rating: number | null; info: Json | null }>(true)

  const up = await db.from('tracks').select('name, albums(title, artists(name))')
  same<NonNullable<typeof up.data>, { name: string; albums: { title: string; artists: { name: string } } }[]>(true)

  const down = await db.from('artists').select('name, albums(title, tracks(seconds))')
  same<NonNullable<typeof down.data>, { name: string; albums: { title: string; tracks: { seconds: number }[] }[] }[]>(true)

  const single = await db.from('albums').select('title, moods(mood)')
  same<NonNullable<typeof single.data>, { title: string; moods: { mood: 'calm' | 'loud' } | null }[]>(true)

  const renamed = await db.from('tracks').select('length:seconds, text:seconds::text')
  same<NonNullable<typeof renamed.data>, { length: number; text: string }[]>(true)

  const computed = await db.from('albums').select('decade')
  same<NonNullable<typeof computed.data>, { decade: number | null }[]>(true)

  const view = await db.from('titles').select('title').limit(1)
  same<NonNullable<typeof view.data>, { title: string | null }[]>(true)

  // @ts-expect-error there is no such relation
  await db.from('nothing').select('*')
  const unknown = await db.from('albums').select('nothing')
  // @ts-expect-error an error stands in the place of rows
  void unknown.data![0]!.nothing
  // @ts-expect-error a number
  await db.from('tracks').select('name').eq('seconds', 'long')
  // @ts-expect-error none of the values
  await db.from('moods').select('id').eq('mood', 'sad')
  // @ts-expect-error tables that are hidden have no types
  await db.from('albums_fts').select('*')
}

export async function writes() {
  await db.from('notes').insert({ owner: 'me' })
  await db.from('notes').insert([{ owner: 'me', stars: 1 }, { owner: 'you', body: null }]).select('id, body')
  await db.from('notes').upsert({ id: 1, owner: 'me' })
  await db.from('notes').update({ stars: null }).eq('id', 1)
  await db.from('moods').insert({ album_id: 3, mood: Constants.public.Enums.moods_mood[0] })
  // @ts-expect-error the owner is missing
  await db.from('notes').insert({ body: 'x' })
  // @ts-expect-error the owner cannot be null
  await db.from('notes').update({ owner: null })
  // @ts-expect-error there is no such column
  await db.from('notes').update({ ownr: 'me' })
  // @ts-expect-error none of the values
  await db.from('moods').insert({ album_id: 3, mood: 'sad' })
  // @ts-expect-error the database makes it
  await db.from('moods').update({ shout: 'CALM' })
  // @ts-expect-error nothing is written through this view
  await db.from('titles').insert({ title: 'x' })
}

export async function calls() {
  const sum = await db.rpc('add', { a: 1 })
  same<typeof sum.data, number | null>(true)
  await db.rpc('add', { a: 1, b: 2 })
  const rows = await db.rpc('albums_of', { artist: 1 })
  same<NonNullable<typeof rows.data>[number]['title'], string>(true)
  await db.rpc('albums_among', { ids: [1, 2] })
  const hello = await db.rpc('hello')
  same<typeof hello.data, string | null>(true)
  await db.rpc('forget', { owner: 'me' })
  // @ts-expect-error there is no such function
  await db.rpc('nothing')
  // @ts-expect-error an argument is missing
  await db.rpc('add', { b: 1 })
  // @ts-expect-error a number
  await db.rpc('add', { a: 'one' })
}

export const row: Tables<'notes'> = { id: 1, owner: 'me', slug: null, body: null, stars: null }
export const inserted: TablesInsert<'notes'> = { owner: 'me' }
export const updated: TablesUpdate<'notes'> = {}
export const mood: Enums<'moods_mood'> = Constants.public.Enums.moods_mood[1]
// @ts-expect-error nothing is written through this view
export type Never = TablesInsert<'titles'>
