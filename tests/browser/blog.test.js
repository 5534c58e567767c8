// examples/blog: what a reader sees and what not, the search, and a comment.

import assert from 'node:assert/strict'
import { picture, readsAs, says, texts, visit } from './support.js'

const posts = (page) => page.getByRole('article')
const headings = (page) => texts(page.getByRole('heading', { level: 2 }))

async function search(page, words) {
  await page.getByRole('searchbox', { name: 'Search the posts' }).fill(words)
  await page.keyboard.press('Enter')
}

visit('what is published, newest first, with masked addresses', async (page) => {
  await says(page.locator('#found'), '3 posts')
  assert.deepEqual(await headings(page), ['On infinity', 'Tides', 'On zero'])
  assert.deepEqual(await texts(page.locator('.about')), [
    'Ada (a***@mail.example) · 20 February 2026 · 1 min · numbers',
    'Bob (b***@mail.example) · 11 February 2026 · 1 min · sea',
    'Ada (a***@mail.example) · 5 January 2026 · 1 min · numbers',
  ])
  const all = await page.content()
  for (const hidden of ['ada@', 'bob@', 'cyd@', 'Knots', 'Buy numbers']) assert.ok(!all.includes(hidden), hidden)
  await picture(page, 'blog')
})

visit('what a screen reader reads', async (page) => {
  await search(page, 'twice')
  await says(page.locator('#found'), '1 post with twice')
  await page.getByText('Comments (1)').click()
  await readsAs(page, `
- banner:
  - heading "Numbers and the sea" [level=1]
  - search:
    - text: Search the posts
    - searchbox "Search the posts": twice
    - button "Search"
- main:
  - status: 1 post with twice
  - alert
  - article:
    - heading "Tides" [level=2]
    - paragraph: Bob (b***@mail.example) · 11 February 2026 · 1 min · sea
    - paragraph: The sea comes twice a day, and so should you.
    - group:
      - text: Comments (1)
      - list:
        - listitem:
          - strong: Eve
          - text: ","
          - time: 12 February 2026
          - text: ": Once a day will do."
      - text: Name
      - textbox "Name"
      - text: E-mail, which nobody but the author sees
      - textbox "E-mail, which nobody but the author sees"
      - text: Comment
      - textbox "Comment"
      - button "Send"
      - status`)
  await picture(page, 'blog-comments')
})

visit('the search', async (page) => {
  for (const [words, found] of [
    ['number', ['On infinity', 'On zero']],
    ['number -several', ['On zero']],
    ['infinity or tides', ['On infinity', 'Tides']],
    ['"comes twice"', ['Tides']],
    ['rope', []],
    ['nothing of the kind', []],
    ['"), or (\\ % & ☃ \'', []],
    ['', ['On infinity', 'Tides', 'On zero']],
  ]) {
    await search(page, words)
    const number = found.length === 1 ? '1 post' : `${found.length} posts`
    await says(page.locator('#found'), words ? `${number} with ${words}` : number)
    assert.deepEqual(await headings(page), found, words)
    assert.equal(await page.getByRole('alert').textContent(), '', words)
  }
})

visit('a comment waits for the author', async (page) => {
  await says(page.locator('#found'), '3 posts')
  const tides = posts(page).filter({ hasText: 'Tides' })
  await tides.getByText('Comments (1)').focus()
  await page.keyboard.press('Enter')
  await tides.getByLabel('Name').fill('Fay')
  await tides.getByLabel('Comment').fill('<b>Twice!</b>')
  await tides.getByRole('button', { name: 'Send' }).click()
  await says(tides.getByRole('status'), 'Thank you. It is shown when the author has approved it.')
  assert.equal(await tides.getByLabel('Comment').inputValue(), '')
  await page.reload()
  await says(page.locator('#found'), '3 posts')
  await tides.getByText('Comments (1)').click()
  assert.deepEqual(await texts(tides.getByRole('listitem')), ['Eve, 12 February 2026: Once a day will do.'])
})

visit('what goes wrong is said', async (page) => {
  await says(page.locator('#found'), '3 posts')
  await page.context().setOffline(true)
  await search(page, 'sea')
  await says(page.getByRole('alert'), 'The server cannot be reached. Is it running?')
  await page.context().setOffline(false)
  await search(page, 'sea')
  await says(page.locator('#found'), '1 post with sea')
  assert.equal(await page.getByRole('alert').textContent(), '')
}, { expected: /ERR_INTERNET_DISCONNECTED/ })

visit('on a telephone, in the dark', async (page) => {
  await says(page.locator('#found'), '3 posts')
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth), false)
  await picture(page, 'blog-telephone')
}, { viewport: { width: 340, height: 600 }, colorScheme: 'dark' })
